/**
 * The memory of chunks on their way. Node reads every chunk into a buffer of its own and leaves it to the collector; at hundreds of
 * megabytes per second that is a full collection every few dozen megabytes, and fresh pages all the time. Given back as soon as its
 * last write is done, the same memory serves the next read.
 */
export interface ChunkMemory {
  /** Of this chunk no more is given to any way: once what they were given so far is written, its memory goes back. */
  release(chunk: Buffer): void;
  /** Gives back what has been written meanwhile. */
  sweep(): void;
}

/** Where parts of chunks go. */
export interface WayOut {
  /** Since its beginning. */
  readonly givenBytes: number;
  /** Of these, what the system has taken: it no longer reads from their memory. */
  readonly writtenBytes: number;
}

interface Waiting {
  readonly memory: ArrayBuffer;
  /** What each way must have written first. */
  readonly untilBytes: readonly number[];
}

/** Chunks that wait for their writes; of more than that the oldest are left to the collector. */
const WAITING_MAX = 256;

/** `ways`: all that parts of its chunks may go. It is asked for every chunk, so it makes nothing for one that is written at once. */
export function createChunkMemory(ways: readonly WayOut[]): ChunkMemory {
  const waiting: Waiting[] = [];

  function allWritten(): boolean {
    for (const way of ways) if (way.writtenBytes < way.givenBytes) return false;
    return true;
  }
  function isWritten({ untilBytes }: Waiting): boolean {
    let index = 0;
    for (const way of ways) if (way.writtenBytes < (untilBytes[index++] ?? 0)) return false;
    return true;
  }

  return {
    release({ buffer, byteLength }) {
      // A part of something larger is not ours alone.
      if (byteLength !== buffer.byteLength || !(buffer instanceof ArrayBuffer)) return;
      if (allWritten()) {
        buffer.transfer(0);
        return;
      }
      if (waiting.length >= WAITING_MAX) waiting.shift();
      waiting.push({ memory: buffer, untilBytes: ways.map((way) => way.givenBytes) });
    },
    sweep() {
      for (let first = waiting[0]; first !== undefined && isWritten(first); first = waiting[0]) {
        waiting.shift();
        first.memory.transfer(0);
      }
    },
  };
}
