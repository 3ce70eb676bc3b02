import type { IncomingMessage, ServerResponse } from "node:http";
import type { RequestRecord } from "./watch/request-record.ts";

/** What a request carries on its way through the routes. */
export interface GatewayEnv {
  /** The connection, where there is one: requests may also be handed in without a socket. */
  Bindings: { readonly incoming?: IncomingMessage; readonly outgoing?: ServerResponse };
  Variables: {
    readonly record: RequestRecord;
    /** Closes the client's connection at once; false where there is none. */
    readonly cut: () => boolean;
  };
}
