import type { Socket } from "node:net";
import {
  BURST,
  BURST_BYTES_MAX,
  encodeHeader,
  encodeLaterQuarters,
  HEADER_BYTES,
  headerOf,
  MEASUREMENT_BYTES_MAX,
  MEASUREMENT_MS_MAX,
  PING,
  PING_BYTES_MAX,
  PINGS_MAX,
  type Arrival,
  type FrameHeader,
} from "./link-frames.ts";

/**
 * The answering half of a measurement: sends pings back, times bursts. Whoever sends more than a measurement takes, or anything else, is
 * cut off. Resolves once the socket is closed; `now` in ms of a monotonic clock.
 */
export function answerLink(socket: Socket, now: () => number = () => performance.now()): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let header = Buffer.alloc(0);
  let frame: FrameHeader | null = null;
  let taken = 0;
  /** When how much of a burst had come: at its middle, at three quarters. */
  let marks: Arrival[] = [];
  let [pings, total] = [0, 0];

  /** Takes what a chunk has of the frame under way; returns the rest. */
  function take(chunk: Buffer): Buffer {
    if (frame === null) {
      const missing = HEADER_BYTES - header.length;
      header = Buffer.concat([header, chunk.subarray(0, missing)]);
      if (header.length < HEADER_BYTES) return Buffer.alloc(0);
      frame = headerOf(header);
      [header, taken, marks] = [Buffer.alloc(0), 0, []];
      if (!allowed(frame)) throw new Error("more than a measurement");
      return chunk.subarray(missing);
    }
    const part = Math.min(chunk.length, frame.length - taken);
    taken += part;
    while (marks.length < 2 && taken * 4 >= frame.length * (2 + marks.length)) marks.push({ bytes: taken, ms: now() });
    if (taken === frame.length) {
      answer(frame);
      frame = null;
    }
    return chunk.subarray(part);
  }

  function allowed({ kind, length }: FrameHeader): boolean {
    total += length;
    if (length === 0 || total > MEASUREMENT_BYTES_MAX) return false;
    if (kind === PING) return length <= PING_BYTES_MAX && ++pings <= PINGS_MAX;
    return kind === BURST && length <= BURST_BYTES_MAX;
  }

  function answer({ kind, length }: FrameHeader): void {
    if (kind === PING) {
      socket.write(Buffer.concat([encodeHeader({ kind, length }), Buffer.alloc(length)]));
      return;
    }
    const end = { bytes: length, ms: now() };
    const [middle = end, late = end] = marks;
    const between = (from: Arrival, to: Arrival): Arrival => ({ bytes: to.bytes - from.bytes, ms: to.ms - from.ms });
    socket.write(encodeLaterQuarters([between(middle, late), between(late, end)]));
  }

  const timer = setTimeout(() => socket.destroy(), MEASUREMENT_MS_MAX);
  socket.on("error", () => socket.destroy());
  socket.once("end", () => socket.end());
  socket.once("close", () => {
    clearTimeout(timer);
    resolve();
  });
  socket.on("data", (chunk: Buffer) => {
    try {
      let rest = chunk;
      while (rest.length > 0 && !socket.destroyed) rest = take(rest);
    } catch {
      socket.destroy();
    }
  });
  if (socket.destroyed) {
    clearTimeout(timer);
    resolve();
  }
  return promise;
}
