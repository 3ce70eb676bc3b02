import type { FramePacker } from "./frame-packing.ts";
import type { FrameRest } from "./frame-rest.ts";
import type { Verdict } from "./frame-scanner.ts";
import type { HeldStream } from "./held-stream.ts";
import { readSize, REQUEST_PREFIX_BYTES } from "./protocol.ts";
import { collectFrame } from "./whole-frame.ts";

/** Where packed frames come from and go to. */
export interface PackedWay {
  /** Null: the other end does not unpack. */
  readonly packer: FramePacker | null;
  /** What comes of a frame behind its head. */
  readonly rest: FrameRest;
  readonly out: HeldStream;
}

/** The frame that begins so goes on, packed where that makes it smaller. `sent`: as so many bytes, once all before it has left. */
export function sendPacked(head: Buffer, { packer, rest, out }: PackedWay, sent: (bytes: number) => void): Verdict {
  const bytes = REQUEST_PREFIX_BYTES + readSize(head, 1);
  if (packer?.takes(head) === true && head.length < bytes) {
    collectFrame(head, rest, (frame) => {
      const packed = packer.pack(frame) ?? frame;
      out.mark(() => sent(packed.length));
      out.write(packed);
    });
    return "drop";
  }
  const packed = head.length === bytes ? (packer?.pack(head) ?? null) : null;
  out.mark(() => sent(packed?.length ?? bytes));
  return packed ?? "pass";
}
