import { ClusterdError } from "./errors.ts";

/** Bytes of a frame's length. */
const HEADER_BYTES = 4;
/** What is set aside at first for a payload that is still to come: whoever only claims a length costs no more. */
const FIRST_BYTES: number = 64 * 1024;

/** A payload with its length before it (u32, big endian). */
export function encodeFrame(payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + payload.length);
  new DataView(frame.buffer).setUint32(0, payload.length);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

/**
 * Cuts a stream of chunks into payloads. A length over the limit throws before anything of it is kept. However small the chunks, a
 * payload's bytes are copied three times at most: its room doubles as it fills.
 */
export class FrameReader {
  readonly #bytesMax: number;
  readonly #header: DataView = new DataView(new ArrayBuffer(HEADER_BYTES));
  #headerBytes = 0;
  /** Of the present payload, once its length is known. */
  #length = 0;
  #payload: Uint8Array = new Uint8Array(0);
  #payloadBytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  push(chunk: Uint8Array): Uint8Array[] {
    const frames: Uint8Array[] = [];
    for (let at = 0; at < chunk.length;) {
      if (this.#headerBytes < HEADER_BYTES) {
        this.#header.setUint8(this.#headerBytes, chunk[at] ?? 0);
        this.#headerBytes += 1;
        at += 1;
        if (this.#headerBytes < HEADER_BYTES) continue;
        this.#length = this.#checkedLength();
      }
      const taken = Math.min(this.#length - this.#payloadBytes, chunk.length - at);
      this.#keep(chunk.subarray(at, at + taken));
      at += taken;
      if (this.#payloadBytes < this.#length) continue;
      frames.push(this.#payload);
      this.#payload = new Uint8Array(0);
      this.#headerBytes = 0;
      this.#payloadBytes = 0;
    }
    return frames;
  }

  #checkedLength(): number {
    const length = this.#header.getUint32(0);
    if (length > this.#bytesMax)
      throw new ClusterdError("invalid_request", `A frame of ${length} bytes was refused: ${this.#bytesMax} is the limit.`);
    return length;
  }

  #keep(bytes: Uint8Array): void {
    const needed = this.#payloadBytes + bytes.length;
    if (needed > this.#payload.length) {
      const room = new Uint8Array(Math.min(this.#length, Math.max(needed, this.#payload.length * 2, FIRST_BYTES)));
      room.set(this.#payload.subarray(0, this.#payloadBytes));
      this.#payload = room;
    }
    this.#payload.set(bytes, this.#payloadBytes);
    this.#payloadBytes = needed;
  }
}
