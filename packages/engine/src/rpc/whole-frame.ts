import type { FrameRest } from "./frame-rest.ts";
import { readSize, REQUEST_PREFIX_BYTES } from "./protocol.ts";

/** Memory is taken as a frame comes, not for what it says that will come. */
const FIRST_BYTES: number = 64 * 1024;

/** Collects a frame of which the head is here and the rest comes to `rest`; its size was checked before. `end` has the whole of it. */
export function collectFrame(head: Buffer, rest: FrameRest, end: (frame: Buffer) => void): void {
  const payloadBytes = readSize(head, 1);
  const bytes = REQUEST_PREFIX_BYTES + payloadBytes;
  let frame = Buffer.allocUnsafe(Math.min(bytes, FIRST_BYTES));
  let at = head.copy(frame, 0, 0, REQUEST_PREFIX_BYTES);
  const take = (piece: Buffer): void => {
    if (at + piece.length > frame.length) {
      const larger = Buffer.allocUnsafe(Math.min(bytes, 2 * (at + piece.length)));
      frame.copy(larger, 0, 0, at);
      frame = larger;
    }
    at += piece.copy(frame, at);
  };
  rest.begin(payloadBytes, head.subarray(REQUEST_PREFIX_BYTES), take, () => end(frame));
}
