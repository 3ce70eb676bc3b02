import { createHash, type Hash } from "node:crypto";

export interface ByteRange {
  readonly from: number;
  /** Behind its last byte. */
  readonly to: number;
}

/** SHA-256 (hex) of ranges of a stream that goes by once; null for a range of nothing but zeros: a hole, as far as anyone can tell. */
export interface RangeDigests {
  /** Bytes in the order in which they lie, without gaps. */
  push(bytes: Uint8Array): void;
  /** By the range's index; of those that are whole by now. */
  readonly digests: ReadonlyMap<number, string | null>;
}

const ZEROS: Buffer = Buffer.alloc(64 * 1024);

/** `ranges`: in order, none over another. */
export function createRangeDigests(ranges: readonly ByteRange[]): RangeDigests {
  const digests = new Map<number, string | null>();
  let position = 0;
  let index = 0;
  let hash: Hash | null = null;
  let hollow = true;
  return {
    digests,
    push(bytes) {
      const [start, end] = [position, position + bytes.length];
      position = end;
      for (let range = ranges[index]; range !== undefined && range.from < end; range = ranges[index]) {
        const piece = bytes.subarray(Math.max(0, range.from - start), Math.max(0, range.to - start));
        hash ??= createHash("sha256");
        hash.update(piece);
        hollow &&= isZeros(piece);
        if (range.to > end) return;
        digests.set(index, hollow ? null : hash.digest("hex"));
        [hash, hollow] = [null, true];
        index += 1;
      }
    },
  };
}

function isZeros(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const piece = bytes.subarray(at, at + ZEROS.length);
    if (ZEROS.compare(piece, 0, piece.length, 0, piece.length) !== 0) return false;
  }
  return true;
}
