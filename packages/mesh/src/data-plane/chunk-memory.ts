/**
 * The memory of chunks on their way. Node reads every chunk into a buffer of its own and leaves it to the collector; at hundreds of
 * megabytes per second that is a full collection every few dozen megabytes, and fresh pages all the time. Given back as soon as its
 * last write is done, the same memory serves the next read.
 */
export interface ChunkMemory {
  /** A chunk just read, to be given back after `release` and after every write of a part of it. */
  hold(chunk: Buffer): void;
  release(chunk: Buffer): void;
  /** What to call when a write of these bytes is done, not before: until then the system reads from them. */
  whenWritten(bytes: Buffer): (() => void) | undefined;
}

export function createChunkMemory(): ChunkMemory {
  const uses = new Map<ArrayBufferLike, number>();
  function done(buffer: ArrayBufferLike): void {
    const left = (uses.get(buffer) ?? 0) - 1;
    if (left > 0) uses.set(buffer, left);
    else if (uses.delete(buffer) && buffer instanceof ArrayBuffer) buffer.transfer(0);
  }
  return {
    hold({ buffer, byteLength }) {
      // A part of something larger is not ours alone.
      if (byteLength === buffer.byteLength) uses.set(buffer, 1);
    },
    release: ({ buffer }) => done(buffer),
    whenWritten({ buffer }) {
      const used = uses.get(buffer);
      if (used === undefined) return undefined;
      uses.set(buffer, used + 1);
      return () => done(buffer);
    },
  };
}
