import type { BlockMap } from "./block-map.ts";

/** For how long what was read and found right is taken to be so, where nothing has written to its file. */
export const TRUST_MS: number = 7 * 24 * 60 * 60 * 1000;

export interface TrustConfig {
  readonly map: BlockMap;
  /** As it was kept with the map; null: nothing was. */
  readonly kept: TrustRecord | null;
  /** What the system says of the files now; another word once they have been written to. */
  stamp(): Promise<string | null>;
  /** Milliseconds since 1970. */
  now(): number;
}

/** Plain data, for the disk. */
export interface TrustRecord {
  readonly stamp: string | null;
  /** Since when blocks are read again, in milliseconds since 1970. */
  readonly sinceMs: number;
  /** Blocks that are still to be read again: a bit for each, the lowest first; base64. */
  readonly unread: string;
}

/**
 * Which blocks of a file may be used as they are, and which must be read again first: all of them once anyone else has written to the file,
 * and after {@link TRUST_MS}.
 */
export interface BlockTrust {
  /** Whether a block must be read again before it is used. */
  isDoubtful(block: number): boolean;
  readonly isInDoubt: boolean;
  /** The block has just been written, or read and found right, or is gone. */
  settled(block: number): void;
  /** Looks whether others have written to the file. */
  look(): Promise<void>;
  /** Runs what writes to the file: that is no reason for doubts. */
  whileWriting<Value>(write: () => Promise<Value>): Promise<Value>;
  json(): TrustRecord;
}

export async function createBlockTrust({ map, kept, stamp, now }: TrustConfig): Promise<BlockTrust> {
  let doubtful = new Set<number>();
  let known = await stamp();
  let sinceMs = now();
  let writers = 0;
  let looking: Promise<void> | null = null;

  const all = (): Set<number> => new Set(Array.from({ length: map.count }, (_, block) => block).filter(map.has));
  if (kept === null || kept.stamp === null || kept.stamp !== known) doubtful = all();
  else {
    const bits = Buffer.from(kept.unread, "base64");
    for (const block of all()) if ((((bits[block >> 3] ?? 0) >> (block & 7)) & 1) === 1) doubtful.add(block);
    sinceMs = kept.sinceMs;
  }

  async function lookNow(): Promise<void> {
    const found = await stamp();
    const ageMs = now() - sinceMs;
    // Also where the clock was set back.
    const isOld = ageMs > TRUST_MS || ageMs < 0;
    if (writers === 0 && (found !== known || isOld)) {
      known = found;
      doubtful = all();
      sinceMs = now();
    }
  }
  /** Once for all who ask at the same time. */
  function look(): Promise<void> {
    if (writers > 0) return Promise.resolve();
    looking ??= lookNow().finally(() => (looking = null));
    return looking;
  }

  return {
    isDoubtful: (block) => doubtful.has(block),
    get isInDoubt() {
      return doubtful.size > 0;
    },
    settled: (block) => void doubtful.delete(block),
    look,
    async whileWriting(write) {
      await look();
      writers += 1;
      try {
        return await write();
      } finally {
        // The last one tells what the file is like now: whoever begins meanwhile does so after itself.
        const found = writers === 1 ? await stamp() : null;
        if (writers === 1) known = found;
        writers -= 1;
      }
    },
    json() {
      const bits = Buffer.alloc(Math.ceil(map.count / 8));
      for (const block of doubtful) bits[block >> 3] = (bits[block >> 3] ?? 0) | (1 << (block & 7));
      // While something is written nobody can tell whether others do as well.
      return { stamp: writers === 0 ? known : null, sinceMs, unread: bits.toString("base64") };
    },
  };
}

/** The record that `json()` gave; null where it is none. */
export function parseTrust(value: unknown, count: number): TrustRecord | null {
  const { stamp, sinceMs, unread } = (typeof value === "object" && value !== null ? value : {}) as Readonly<
    Record<string, unknown>
  >;
  if (typeof stamp !== "string" || stamp.length > STAMP_LENGTH_MAX) return null;
  if (typeof sinceMs !== "number" || !Number.isFinite(sinceMs) || typeof unread !== "string") return null;
  if (unread.length > Math.ceil(count / 8) * 2 + 4) return null;
  return { stamp, sinceMs, unread };
}

/** Of the most parts a model may have. */
const STAMP_LENGTH_MAX = 65_536;
