import type { Socket } from "node:net";
import { freeNow } from "@clusterd/catalog";
import { ClusterdError } from "@clusterd/wire";

/** Lines and counted bytes of a socket, in the order in which they come; asked for one after the other. */
export interface SocketReader {
  /** Null at the socket's end. */
  line(): Promise<string | null>;
  /** Fills a buffer; false at the socket's end. */
  fill(target: Buffer): Promise<boolean>;
}

const LINE_BYTES_MAX = 256;
const NEWLINE = 0x0a;

/** What is waited for: takes from what has come, and tells whether it has all. */
interface Wanted {
  take(): boolean;
  settle(isThere: boolean): void;
  fail(error: Error): void;
}

/**
 * Reads a socket piece by piece. It is paused while nothing is asked for: no more than what the system handed over at once is kept, and
 * every byte is copied once, to where it is wanted.
 */
export function readSocket(socket: Socket): SocketReader {
  const chunks: Buffer[] = [];
  let wanted: Wanted | null = null;
  let isOver = false;

  function look(): void {
    const now = wanted;
    if (now === null) return;
    try {
      if (now.take()) done(now, true);
      else if (isOver) done(now, false);
    } catch (error) {
      wanted = null;
      now.fail(error as Error);
    }
  }
  function done(now: Wanted, isThere: boolean): void {
    wanted = null;
    now.settle(isThere);
  }
  const over = (): void => {
    isOver = true;
    look();
  };
  socket.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    look();
    if (wanted === null) socket.pause();
  });
  socket.once("end", over).once("close", over);
  socket.once("error", () => socket.destroy());
  socket.pause();
  if (socket.destroyed) isOver = true;

  function want(take: () => boolean): Promise<boolean> {
    return new Promise((settle, fail) => {
      wanted = { take, settle, fail };
      look();
      if (wanted !== null) socket.resume();
    });
  }

  return {
    async line() {
      let text: string | null = null;
      let passed = 0;
      await want(() => {
        let before = 0;
        for (const chunk of chunks) {
          const end = chunk.indexOf(NEWLINE);
          const length = before + (end === -1 ? chunk.length : end);
          if (length > LINE_BYTES_MAX) throw new ClusterdError("invalid_request", "A line is too long.");
          if (end !== -1) {
            const bytes = Buffer.alloc(length);
            passed = takeFrom(chunks, bytes, 0);
            takeFrom(chunks, Buffer.alloc(1), 0);
            text = bytes.toString("utf8", 0, passed);
            return true;
          }
          before = length;
        }
        return false;
      });
      return text;
    },
    fill(target) {
      let at = 0;
      return want(() => (at += takeFrom(chunks, target, at)) === target.length);
    },
  };
}

/** Moves bytes from the first chunks to a buffer from `at` on, as many as there are and it takes. */
function takeFrom(chunks: Buffer[], target: Buffer, at: number): number {
  let taken = 0;
  for (let [first] = chunks; first !== undefined && at + taken < target.length; [first] = chunks) {
    const copied = first.copy(target, at + taken);
    taken += copied;
    if (copied < first.length) chunks[0] = first.subarray(copied);
    else {
      chunks.shift();
      freeNow(first);
    }
  }
  return taken;
}
