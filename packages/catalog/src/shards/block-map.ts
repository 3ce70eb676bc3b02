import { createHash } from "node:crypto";

/** SHA-256 of a block's bytes, hex. */
export function blockDigest(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Which blocks of a model there are, and the SHA-256 of each that is known. */
export interface BlockMap {
  readonly count: number;
  has(block: number): boolean;
  /** Hex; null: not known. */
  digest(block: number): string | null;
  add(block: number, digest: string): void;
  /** What a block must be, before it is there. */
  expect(block: number, digest: string): void;
  remove(block: number): void;
  /** Plain data, for the disk and for other nodes. */
  json(): BlockMapJson;
}

export interface BlockMapJson {
  readonly count: number;
  /** A bit for each block, the lowest first; base64. */
  readonly present: string;
  /** 32 bytes for each block, zeros where not known; base64. */
  readonly digests: string;
}

const DIGEST_BYTES = 32;
/** Blocks of one model: 4 TB. */
const BLOCKS_MAX = 524_288;

export function createBlockMap(count: number): BlockMap {
  return mapOver(count, new Uint8Array(Math.ceil(count / 8)), Buffer.alloc(count * DIGEST_BYTES));
}

/** The map that `json()` gave; null where it is none, or is of a model with another count. */
export function parseBlockMap(value: unknown, count: number): BlockMap | null {
  const fields = (typeof value === "object" && value !== null ? value : {}) as Readonly<Record<string, unknown>>;
  const { present, digests } = fields;
  if (count > BLOCKS_MAX || fields["count"] !== count || typeof present !== "string" || typeof digests !== "string") return null;
  // Measured before they are decoded: they may come from anyone.
  const [bitBytes, digestBytes] = [Math.ceil(count / 8), count * DIGEST_BYTES];
  if (present.length > bitBytes * 2 + 4 || digests.length > digestBytes * 2 + 4) return null;
  const [bits, hashes] = [Buffer.from(present, "base64"), Buffer.from(digests, "base64")];
  if (bits.length !== bitBytes || hashes.length !== digestBytes) return null;
  const map = mapOver(count, bits, hashes);
  for (let block = 0; block < count; block++) if (map.has(block) && map.digest(block) === null) return null;
  return map;
}

function mapOver(count: number, bits: Uint8Array, digests: Buffer): BlockMap {
  const inside = (block: number): boolean => Number.isInteger(block) && block >= 0 && block < count;
  const has = (block: number): boolean => inside(block) && (((bits[block >> 3] ?? 0) >> (block & 7)) & 1) === 1;
  const put = (block: number, digest: string): void => {
    const bytes = Buffer.from(digest, "hex");
    if (!inside(block) || bytes.length !== DIGEST_BYTES) throw new Error("not a block's digest");
    bytes.copy(digests, block * DIGEST_BYTES);
  };
  return {
    count,
    has,
    digest(block) {
      const bytes = inside(block) ? digests.subarray(block * DIGEST_BYTES, (block + 1) * DIGEST_BYTES) : Buffer.alloc(0);
      return bytes.every((byte) => byte === 0) ? null : bytes.toString("hex");
    },
    add(block, digest) {
      put(block, digest);
      bits[block >> 3] = (bits[block >> 3] ?? 0) | (1 << (block & 7));
    },
    expect: put,
    remove(block) {
      if (inside(block)) bits[block >> 3] = (bits[block >> 3] ?? 0) & ~(1 << (block & 7));
    },
    json: () => ({ count, present: Buffer.from(bits).toString("base64"), digests: digests.toString("base64") }),
  };
}
