import type { Socket } from "node:net";
import { LINGER_BYTES_MAX, LINGER_MS_MAX } from "./limits.ts";

const lingering = new WeakSet<Socket>();

export function isLingering(socket: Socket): boolean {
  return lingering.has(socket);
}

/**
 * Closes a connection so that what was answered last arrives although the client is still writing: a socket that is closed over
 * unread bytes is reset, and the answer lost. This side says no more, and what still comes is thrown away, up to a limit in bytes and
 * time.
 */
export function closeLingering(socket: Socket): void {
  if (lingering.has(socket) || socket.destroyed) return;
  lingering.add(socket);
  // The HTTP server would now close it at once.
  socket.destroySoon = () => undefined;
  socket.end();
  socket.removeAllListeners("data");
  let bytes = 0;
  socket.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > LINGER_BYTES_MAX) socket.destroy();
  });
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), LINGER_MS_MAX);
  socket.once("end", () => socket.destroy());
  socket.once("close", () => clearTimeout(timer));
}
