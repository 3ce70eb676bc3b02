import { CACHE_ENTRY_OVERHEAD_BYTES, CACHE_ENTRY_SHARE_MAX } from "../limits.ts";

/** An answer as it went out. */
export interface KeptAnswer {
  readonly contentType: string;
  readonly bytes: Buffer;
}

/** An answer that is being kept while it goes out. What is never finished is never kept. */
export interface AnswerRecording {
  add(bytes: Uint8Array): void;
  finish(key: string): void;
  /** Forgets what there is of it. */
  drop(): void;
}

export interface CacheCounts {
  readonly hits: number;
  readonly misses: number;
  readonly entries: number;
  /** Of the answers kept and those being recorded. */
  readonly bytes: number;
  readonly bytesMax: number;
}

/** Answers in memory, within a number of bytes; the one that was not asked for the longest goes first. */
export interface AnswerCache {
  /** The answer kept for a key, counted as a hit or a miss. */
  find(key: string): KeptAnswer | null;
  /** Counts a request that does not want a kept answer. */
  pass(): void;
  record(contentType: string): AnswerRecording;
  readonly counts: CacheCounts;
}

export function createAnswerCache(bytesMax: number): AnswerCache {
  // Insertion order is the order of use.
  const kept = new Map<string, KeptAnswer>();
  const entryBytesMax = Math.floor(bytesMax * CACHE_ENTRY_SHARE_MAX);
  let keptBytes = 0;
  let recordingBytes = 0;
  let hits = 0;
  let misses = 0;

  const sizeOf = ({ bytes }: KeptAnswer): number => bytes.byteLength + CACHE_ENTRY_OVERHEAD_BYTES;
  const forget = (key: string): void => {
    const answer = kept.get(key);
    if (answer === undefined) return;
    kept.delete(key);
    keptBytes -= sizeOf(answer);
  };
  /** Makes room for what is being recorded by letting go of the oldest answers. */
  const makeRoom = (): void => {
    for (const key of kept.keys()) {
      if (keptBytes + recordingBytes <= bytesMax) return;
      forget(key);
    }
  };

  return {
    find(key) {
      const answer = kept.get(key);
      if (answer === undefined) {
        misses += 1;
        return null;
      }
      hits += 1;
      kept.delete(key);
      kept.set(key, answer);
      return answer;
    },
    pass() {
      misses += 1;
    },
    record(contentType) {
      const parts: Uint8Array[] = [];
      let bytes = CACHE_ENTRY_OVERHEAD_BYTES;
      let over = false;
      recordingBytes += bytes;
      const end = (): void => {
        if (over) return;
        over = true;
        recordingBytes -= bytes;
        parts.length = 0;
      };
      return {
        add(part) {
          if (over) return;
          bytes += part.byteLength;
          recordingBytes += part.byteLength;
          // The part may be a small one of a large chunk, which is not to be kept.
          parts.push(Buffer.from(part));
          if (bytes > entryBytesMax || recordingBytes > bytesMax) return end();
          makeRoom();
        },
        finish(key) {
          if (over) return;
          const answer = { contentType, bytes: Buffer.concat(parts) };
          end();
          forget(key);
          kept.set(key, answer);
          keptBytes += sizeOf(answer);
          makeRoom();
        },
        drop: end,
      };
    },
    get counts() {
      return { hits, misses, entries: kept.size, bytes: keptBytes + recordingBytes, bytesMax };
    },
  };
}
