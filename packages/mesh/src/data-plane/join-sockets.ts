import type { Socket } from "node:net";

/** Bytes that passed a pair of sockets, both ways. */
export interface Traffic {
  sent: number;
  received: number;
}

/** How often the peer's kernel is asked for a sign of life when nothing moves. */
const KEEPALIVE_MS = 1_000;
/** Bytes taken from one side and not yet given to the other, per direction. Pausing at every chunk would halve the throughput. */
const UNSENT_BYTES_MAX: number = 1024 * 1024;
/** One side has ended and nothing moves any more: how long the other may take to end as well. */
const HALF_OPEN_MS_MAX = 10_000;

/**
 * Passes bytes both ways between two sockets. An end of one is passed on as an end; an error or a sudden close of one destroys the
 * other at once, so that no half-open socket lingers and the engine behind it learns of the loss. A socket that cannot take more
 * pauses the other. Both sockets must allow half-open connections. Resolves once both are closed, with the error if there was one.
 */
export function joinSockets(local: Socket, remote: Socket, traffic: Traffic): Promise<Error | null> {
  const { promise, resolve } = Promise.withResolvers<Error | null>();
  let failure: Error | null = null;
  let open = 2;
  const closed = (): void => {
    if (--open === 0) resolve(failure);
  };
  const fail = (error: Error): void => {
    failure ??= error;
    local.destroy();
    remote.destroy();
  };
  for (const socket of [local, remote]) {
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEPALIVE_MS);
    socket.on("error", fail);
    if (socket.closed) closed();
    else socket.once("close", closed);
    if (socket.destroyed) fail(new Error("it closed the connection"));
  }
  pass(local, remote, (bytes) => (traffic.sent += bytes), fail);
  pass(remote, local, (bytes) => (traffic.received += bytes), fail);
  return promise;
}

function pass(from: Socket, to: Socket, count: (bytes: number) => void, fail: (error: Error) => void): void {
  // What comes in one turn leaves in one system call: the records of a TLS read come one by one.
  let corked = false;
  const uncork = (): void => {
    corked = false;
    to.uncork();
  };
  from.on("data", (chunk: Buffer) => {
    count(chunk.length);
    if (!corked) {
      corked = true;
      to.cork();
      process.nextTick(uncork);
    }
    to.write(chunk);
    if (to.writableLength >= UNSENT_BYTES_MAX) from.pause();
  });
  to.on("drain", () => from.resume());
  from.once("end", () => {
    to.end();
    to.setTimeout(HALF_OPEN_MS_MAX, () => fail(new Error("it did not close the connection")));
  });
  from.once("close", () => {
    if (!from.readableEnded) fail(new Error("it closed the connection"));
  });
}
