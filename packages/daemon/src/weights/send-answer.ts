import type { Socket } from "node:net";
import { freeNow } from "@clusterd/catalog";
import { packSlice, SLICE_BYTES, type PackingSense } from "./packing.ts";
import { encodeLine } from "./weight-lines.ts";

/** How fast answers may go: a rate limit (rate-limit.ts). */
export interface Pace {
  /** What to send at a time. */
  readonly sliceBytes: number;
  take(bytes: number, signal: AbortSignal): Promise<void>;
}

export interface SendOptions {
  readonly pace: Pace | null;
  /** Fires when the socket is closed. */
  readonly gone: AbortSignal;
}

/** An answer that can go at any time: its first slice is being packed meanwhile. */
export interface PreparedAnswer {
  /** Once; the body's memory is given back afterwards. */
  send(socket: Socket, options: SendOptions): Promise<void>;
}

interface Slice {
  readonly plain: Buffer;
  /** Null while it is being packed, and where it is sent as it is. */
  packed: Buffer | null;
  state: "packing" | "settled" | "sent";
  /** Nobody reads from `plain` any more to pack it. */
  packing: Promise<void>;
}

/**
 * An answer, sent slice by slice: while one goes out, the next is packed, where that helps; what is not packed when its turn comes goes as
 * it is, so that the link never waits for it. Beside the answer itself no more than a slice waits in this process. `packing`: null where
 * nothing of it is packed.
 */
export function prepareAnswer(body: Buffer, packing: PackingSense | null, pace: Pace | null): PreparedAnswer {
  const length = Math.min(SLICE_BYTES, pace?.sliceBytes ?? SLICE_BYTES);
  const begin = (at: number): Slice => beginSlice(body.subarray(at, at + length), packing);
  const first = begin(0);
  return {
    async send(socket, options) {
      let head = encodeLine({ bytes: body.length });
      let next = first;
      const packings = [first.packing];
      for (let at = 0; at < body.length && !socket.destroyed; at += length) {
        const slice = next;
        if (slice.state === "packing") packing?.tell("late");
        slice.state = "sent";
        const sent = slice.packed ?? slice.plain;
        next = begin(at + length);
        packings.push(next.packing);
        await write(socket, head + encodeLine({ plain: slice.plain.length, sent: sent.length }), sent);
        head = "";
        // Paid for afterwards: meanwhile the next one is packed.
        await options.pace?.take(sent.length, options.gone);
      }
      if (body.length === 0) socket.write(head);
      await Promise.all(packings);
      freeNow(body);
    },
  };
}

function beginSlice(plain: Buffer, packing: PackingSense | null): Slice {
  const slice: Slice = { plain, packed: null, state: "settled", packing: Promise.resolve() };
  if (packing === null || plain.length === 0 || !packing.worthTrying()) return slice;
  slice.state = "packing";
  // What cannot be packed goes as it is.
  slice.packing = packSlice(plain)
    .catch(() => null)
    .then((packed) => {
      if (slice.state === "sent") return;
      slice.state = "settled";
      slice.packed = packed;
      packing.tell(packed === null ? "useless" : "gained");
    });
  return slice;
}

/** Writes, and waits until the system has taken it or the socket is closed. */
async function write(socket: Socket, line: string, bytes: Buffer): Promise<void> {
  // Not corked with what follows: that would copy all of it, and a small packet for each slice is next to nothing.
  socket.write(line);
  await new Promise<void>((resolve) => {
    // Called when it was written, and when that failed.
    socket.write(bytes, () => resolve());
  });
}
