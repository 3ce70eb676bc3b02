import type { Socket } from "node:net";

/** Exactly so many bytes from a socket's beginning; what follows stays in the socket. */
export async function readExactly(socket: Socket, length: number, signal: AbortSignal): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const take = (): void => {
    const chunk = socket.read(length) as Buffer | null;
    if (chunk?.length === length) resolve(chunk);
    else if (chunk !== null || socket.readableEnded || socket.destroyed) closed();
  };
  const closed = (): void => reject(new Error("it closed the connection"));
  const late = (): void => reject(new Error("it took too long"));
  // One listener for the whole wait: every new one is called at once for what lies there already, which would spin on a part.
  socket.on("readable", take);
  socket.once("end", closed);
  socket.once("close", closed);
  socket.once("error", closed);
  signal.addEventListener("abort", late, { once: true });
  try {
    if (signal.aborted) late();
    // What lies there already, from an earlier wait of the same turn, is not announced again.
    take();
    return await promise;
  } finally {
    socket.removeListener("readable", take);
    socket.removeListener("end", closed);
    socket.removeListener("close", closed);
    socket.removeListener("error", closed);
    signal.removeEventListener("abort", late);
  }
}
