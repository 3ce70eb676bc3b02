import { BadFrame, HEAD_BYTES_MAX } from "./protocol.ts";

/** What the first bytes of a frame say of the rest of it. */
export interface FrameShape {
  /** Bytes behind the prefix. */
  readonly payloadBytes: number;
  /** How many of them `begin` wants to see, in one piece. */
  readonly headBytes: number;
}

/** What becomes of a frame: all of it goes on, or none of it; or other bytes go in its place, or whatever is done once its turn has come. */
export type Verdict = "pass" | "drop" | Buffer | (() => void);

export interface FrameSink {
  /** Bytes before the payload. */
  readonly prefixBytes: number;
  /** Throws where no such frame may be. */
  measure(prefix: Buffer): FrameShape;
  /** `head`: the prefix and the payload's first bytes; what is changed in them goes on changed. */
  begin(head: Buffer): Verdict | Promise<Verdict>;
  /** Payload behind the head, of a frame that passes. */
  body?(bytes: Buffer): void;
  /** The same of a frame that does not. */
  dropped?(bytes: Buffer): void;
  emit(bytes: Buffer): void;
}

export interface FrameScanner {
  /** A promise where `begin` gave one: the next chunk must wait for it. */
  push(chunk: Buffer): Promise<void> | void;
  /** Whether everything so far was whole frames. */
  readonly atBoundary: boolean;
}

/**
 * Cuts a stream into frames as it comes, without copying: what passes leaves as the same memory, as few pieces as possible, and no
 * frame is ever held but for its head (some kilobytes at most) where that spans chunks.
 */
export function createFrameScanner(sink: FrameSink): FrameScanner {
  const { prefixBytes } = sink;
  /** The beginning of a head that spans chunks. */
  let held: Buffer | null = null;
  let heldBytes = 0;
  /** Bytes of the present frame behind its head that are still to come. */
  let bodyBytes = 0;
  let passing = true;

  /** Payload bytes of a head, once its prefix is there. */
  function shapeOf(prefix: Buffer): FrameShape {
    const shape = sink.measure(prefix);
    if (!(shape.payloadBytes >= 0 && shape.headBytes + prefixBytes <= HEAD_BYTES_MAX))
      throw new BadFrame("a frame without a size");
    return shape;
  }

  function settle(verdict: Verdict, head: Buffer, spanned: boolean): void {
    passing = verdict === "pass";
    if (verdict === "pass") {
      if (spanned) sink.emit(head);
    } else if (typeof verdict === "function") verdict();
    else if (verdict !== "drop") sink.emit(verdict);
  }

  function push(chunk: Buffer): Promise<void> | void {
    let at = 0;
    /** Where the piece begins that goes on as it is. */
    let from = 0;
    const flush = (): void => {
      if (from < at) sink.emit(from === 0 && at === chunk.length ? chunk : chunk.subarray(from, at));
      from = at;
    };
    while (at < chunk.length) {
      if (bodyBytes > 0) {
        const taken = Math.min(bodyBytes, chunk.length - at);
        if (passing) sink.body?.(chunk.subarray(at, at + taken));
        else sink.dropped?.(chunk.subarray(at, at + taken));
        bodyBytes -= taken;
        at += taken;
        if (!passing) from = at;
        continue;
      }
      let head: Buffer;
      let shape: FrameShape;
      const spanned = held !== null;
      if (held === null) {
        const left = chunk.length - at;
        const known = left < prefixBytes ? null : shapeOf(chunk.subarray(at, at + prefixBytes));
        const wanted = known === null ? prefixBytes : prefixBytes + Math.min(known.payloadBytes, known.headBytes);
        if (known === null || left < wanted) {
          flush();
          held = Buffer.allocUnsafe(HEAD_BYTES_MAX);
          heldBytes = chunk.copy(held, 0, at);
          return;
        }
        shape = known;
        head = chunk.subarray(at, at + wanted);
      } else {
        const missing = (wanted: number): boolean => {
          const taken = Math.min(wanted - heldBytes, chunk.length - at);
          if (taken > 0) {
            heldBytes += chunk.copy(held as Buffer, heldBytes, at, at + taken);
            at += taken;
          }
          return heldBytes < wanted;
        };
        if (missing(prefixBytes)) return;
        shape = shapeOf(held.subarray(0, prefixBytes));
        const wanted = prefixBytes + Math.min(shape.payloadBytes, shape.headBytes);
        if (missing(wanted)) return;
        head = held.subarray(0, wanted);
        held = null;
        from = at;
      }
      bodyBytes = shape.payloadBytes + prefixBytes - head.length;
      const verdict = sink.begin(head);
      if (!spanned && verdict !== "pass") flush();
      if (verdict instanceof Promise) {
        const rest = chunk.subarray(at + (spanned ? 0 : head.length));
        return verdict.then((settled) => {
          settle(settled, head, true);
          return push(rest);
        });
      }
      settle(verdict, head, spanned);
      if (!spanned) {
        at += head.length;
        if (verdict !== "pass") from = at;
      }
    }
    flush();
  }

  return {
    push,
    get atBoundary() {
      return held === null && bodyBytes === 0;
    },
  };
}
