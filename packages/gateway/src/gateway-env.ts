import type { IncomingMessage, ServerResponse } from "node:http";
import type { RequestRecord } from "./watch/request-record.ts";

/** Who sent a request, for fairness, limits and the log. */
export interface Caller {
  /** `key:ID` or `ip:ADDRESS`. */
  readonly id: string;
  readonly keyId: string | null;
  /** The key's name, where there is one. */
  readonly name: string | null;
  /** Its requests never leave the cluster. */
  readonly isPrivate: boolean;
  /** The models it may use, by id or alias; null: all. */
  readonly models: readonly string[] | null;
}

/** What a request carries on its way through the routes. */
export interface GatewayEnv {
  /** The connection, where there is one: requests may also be handed in without a socket. */
  Bindings: { readonly incoming?: IncomingMessage; readonly outgoing?: ServerResponse };
  Variables: {
    readonly record: RequestRecord;
    readonly caller: Caller;
    /** Closes the client's connection at once; false where there is none. */
    readonly cut: () => boolean;
  };
}
