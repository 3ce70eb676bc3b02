import { ClusterdError } from "./errors.ts";

/** Bytes of a frame's length. */
const HEADER_BYTES = 4;

/** A payload with its length before it (u32, big endian). */
export function encodeFrame(payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + payload.length);
  new DataView(frame.buffer).setUint32(0, payload.length);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

/** Cuts a stream of chunks into payloads. A length over the limit throws before anything of it is kept. */
export class FrameReader {
  readonly #bytesMax: number;
  #held: Uint8Array = new Uint8Array(0);

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  push(chunk: Uint8Array): Uint8Array[] {
    const joined = new Uint8Array(this.#held.length + chunk.length);
    joined.set(this.#held);
    joined.set(chunk, this.#held.length);
    const view = new DataView(joined.buffer);
    const frames: Uint8Array[] = [];
    let at = 0;
    while (joined.length - at >= HEADER_BYTES) {
      const length = view.getUint32(at);
      if (length > this.#bytesMax)
        throw new ClusterdError("invalid_request", `A frame of ${length} bytes was refused: ${this.#bytesMax} is the limit.`);
      if (joined.length - at - HEADER_BYTES < length) break;
      frames.push(joined.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length));
      at += HEADER_BYTES + length;
    }
    this.#held = joined.slice(at);
    return frames;
  }
}
