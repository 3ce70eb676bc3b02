import { brokenModel } from "./broken-model.ts";
import { HEADER_BYTES_MAX, HEADER_WINDOW_BYTES } from "./limits.ts";
import { sizeText } from "./size-text.ts";

/** Reads a header's numbers and texts front to back with one small window of the file in memory. */
export interface HeaderCursor {
  /** Bytes from the start of the file. */
  position(): number;
  /** Bytes left in the file. */
  remaining(): number;
  /** Bytes that can be taken without waiting. */
  buffered(): number;
  /** Makes the next `count` bytes available (at most the window). Throws where the file ends before. */
  fill(count: number): Promise<void>;
  /** The following take what `fill` has made available. */
  u16(): number;
  u32(): number;
  /** Exact up to 2^53, beyond that near enough to be refused as absurd. */
  u64(): number;
  text(byteCount: number): string;
  pass(byteCount: number): void;
  /** Moves on without looking. Throws where the file ends before. */
  skip(byteCount: number): Promise<void>;
}

/** Where a header's bytes come from: an open file, or one elsewhere that is read by ranges. May give less than asked for, nothing at the end only. */
export interface HeaderSource {
  read(buffer: Buffer, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>;
}

/** A cursor at the start of a file of `fileBytes` bytes. Errors name `path`. */
export function headerCursor(handle: HeaderSource, path: string, fileBytes: number, signal: AbortSignal): HeaderCursor {
  const window = Buffer.allocUnsafe(Math.min(HEADER_WINDOW_BYTES, Math.max(fileBytes, 1)));
  let windowStart = 0;
  let filled = 0;
  let next = 0;

  const position = (): number => windowStart + next;

  const mustReach = (end: number): void => {
    if (end > fileBytes) {
      throw brokenModel(path, `the file ends inside its header (it holds ${sizeText(fileBytes)}): truncated or corrupt`);
    }
    if (end > HEADER_BYTES_MAX) {
      throw brokenModel(path, `its header would be larger than ${sizeText(HEADER_BYTES_MAX)}, more than any known model has`);
    }
  };

  const fill = async (count: number): Promise<void> => {
    if (filled - next >= count) return;
    mustReach(position() + count);
    signal.throwIfAborted();
    window.copyWithin(0, next, filled);
    windowStart += next;
    filled -= next;
    next = 0;
    while (filled < count) {
      const { bytesRead } = await handle.read(window, filled, window.length - filled, windowStart + filled);
      if (bytesRead === 0) throw brokenModel(path, "the file became shorter while it was read");
      filled += bytesRead;
    }
  };

  return {
    position,
    remaining: () => fileBytes - position(),
    buffered: () => filled - next,
    fill,
    u16: () => window.readUInt16LE((next += 2) - 2),
    u32: () => window.readUInt32LE((next += 4) - 4),
    u64() {
      next += 8;
      return window.readUInt32LE(next - 4) * 2 ** 32 + window.readUInt32LE(next - 8);
    },
    text: (byteCount) => window.toString("utf8", (next += byteCount) - byteCount, next),
    pass(byteCount) {
      next += byteCount;
    },
    async skip(byteCount) {
      if (byteCount <= filled - next) {
        next += byteCount;
        return;
      }
      mustReach(position() + byteCount);
      windowStart = position() + byteCount;
      filled = 0;
      next = 0;
    },
  };
}
