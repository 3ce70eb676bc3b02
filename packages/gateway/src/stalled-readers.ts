import type { Server, ServerResponse } from "node:http";

interface Watched {
  deliveredBytes: number;
  sinceMs: number;
}

/**
 * Closes connections whose client takes nothing of what is waiting for it. A client that is merely waiting for more is left
 * alone: only bytes that stay undelivered count.
 */
export function cutStalledReaders(server: Server, stallMsMax: number): Disposable {
  const watched = new Map<ServerResponse, Watched>();
  const onRequest = (_: unknown, response: ServerResponse): void => {
    watched.set(response, { deliveredBytes: -1, sinceMs: performance.now() });
    response.once("close", () => watched.delete(response));
  };
  const sweep = (): void => {
    const nowMs = performance.now();
    for (const [response, state] of watched) {
      const { socket } = response;
      const delivered = socket === null ? -1 : socket.bytesWritten - socket.writableLength;
      if (socket === null || socket.writableLength === 0 || delivered !== state.deliveredBytes) {
        watched.set(response, { deliveredBytes: delivered, sinceMs: nowMs });
      } else if (nowMs - state.sinceMs >= stallMsMax) response.destroy();
    }
  };
  server.on("request", onRequest);
  const timer = setInterval(sweep, Math.max(50, stallMsMax / 10));
  timer.unref();
  return {
    [Symbol.dispose]() {
      clearInterval(timer);
      server.off("request", onRequest);
    },
  };
}
