import type { Socket } from "node:net";
import { joinSockets, type Traffic } from "./join-sockets.ts";

/**
 * Passes what comes over a pair of sockets, the loopback one and the one to the peer, until both are closed; resolves with the error if
 * there was one. Both allow half-open connections.
 */
export type Carry = (local: Socket, remote: Socket) => Promise<Error | null>;

/** Bytes as they come. */
export const carryBytes =
  (traffic: Traffic): Carry =>
  (local, remote) =>
    joinSockets(local, remote, traffic);
