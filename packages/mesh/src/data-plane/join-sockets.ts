import type { Socket } from "node:net";

/** Bytes that passed a pair of sockets, both ways. */
export interface Traffic {
  sent: number;
  received: number;
}

/** How often the peer's kernel is asked for a sign of life when nothing moves. */
const KEEPALIVE_MS = 1_000;

/**
 * Passes bytes both ways between two sockets until either ends; then both are gone at once, so that no half-open socket lingers and
 * the engine behind it learns of the loss. A socket that cannot take more pauses the other.
 */
export function joinSockets(local: Socket, remote: Socket, traffic: Traffic): Promise<Error | null> {
  const { promise, resolve } = Promise.withResolvers<Error | null>();
  for (const socket of [local, remote]) {
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEPALIVE_MS);
  }
  const end = (error: Error | null): void => {
    local.destroy();
    remote.destroy();
    resolve(error);
  };
  pass(local, remote, (bytes) => (traffic.sent += bytes), end);
  pass(remote, local, (bytes) => (traffic.received += bytes), end);
  return promise;
}

function pass(from: Socket, to: Socket, count: (bytes: number) => void, end: (error: Error | null) => void): void {
  from.on("data", (chunk: Buffer) => {
    count(chunk.length);
    if (!to.write(chunk)) from.pause();
  });
  to.on("drain", () => from.resume());
  // What was read before the end must still arrive.
  from.once("end", () => to.end(() => end(null)));
  from.once("error", end);
  from.once("close", () => end(null));
}
