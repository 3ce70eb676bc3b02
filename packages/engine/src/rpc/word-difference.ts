import { BadFrame } from "./protocol.ts";

export const WORD_BYTES = 4;
/** Counts of words are below 2^21: three groups of seven bits. */
const COUNT_BYTES_MAX = 3;
const GROUP_BITS = 7;
const SHORT_BYTES_MAX = 64;
const GROUP: number = 1 << GROUP_BITS;

/**
 * What is different in `now` from `before` (null: zeros): `words alike | words that differ | those words`, again and again; what follows
 * the last is alike. Null where that would not be shorter than `now`.
 */
export function encodeDifference(now: Uint32Array, before: Uint32Array | null): Buffer | null {
  const bytes = bytesOf(now);
  const known = before ?? new Uint32Array(now.length);
  const encoded = Buffer.allocUnsafe(now.byteLength + 2 * COUNT_BYTES_MAX);
  let at = 0;
  let written = 0;
  for (;;) {
    const from = at;
    while (at < now.length && now[at] === known[at]) at += 1;
    if (at === now.length) return written < now.byteLength ? encoded.subarray(0, written) : null;
    const first = at;
    while (at < now.length && now[at] !== known[at]) at += 1;
    if (written + (at - first) * WORD_BYTES >= now.byteLength) return null;
    written = writeCount(encoded, writeCount(encoded, written, first - from), at - first);
    copyBytes(bytes, first * WORD_BYTES, encoded, written, (at - first) * WORD_BYTES);
    written += (at - first) * WORD_BYTES;
  }
}

/** Puts into `words` what is different. Throws where that is no difference of such a payload. */
export function applyDifference(words: Uint32Array, difference: Buffer): void {
  const bytes = bytesOf(words);
  let [at, word] = [0, 0];
  const readCount = (): number => {
    let count = 0;
    for (let group = 0; group < COUNT_BYTES_MAX && at < difference.length; group += 1) {
      const byte = difference.readUInt8(at++);
      count += (byte % GROUP) << (GROUP_BITS * group);
      if (byte < GROUP) return count;
    }
    throw new BadFrame("a packed frame of broken counts");
  };
  while (at < difference.length) {
    word += readCount();
    const count = readCount();
    const end = at + count * WORD_BYTES;
    if (count === 0 || word + count > words.length || end > difference.length)
      throw new BadFrame("a packed frame beyond its size");
    copyBytes(difference, at, bytes, word * WORD_BYTES, end - at);
    word += count;
    at = end;
  }
}

export const bytesOf = (words: Uint32Array): Buffer => Buffer.from(words.buffer, words.byteOffset, words.byteLength);

/** Of a few bytes each, there are hundreds in a graph: a call out of JavaScript for each costs more than all the rest. */
function copyBytes(from: Buffer, at: number, to: Buffer, toAt: number, bytes: number): void {
  if (bytes > SHORT_BYTES_MAX) from.copy(to, toAt, at, at + bytes);
  else for (let index = 0; index < bytes; index += 1) to[toAt + index] = from[at + index] ?? 0;
}

function writeCount(to: Buffer, at: number, count: number): number {
  let left = count;
  let next = at;
  for (; left >= GROUP; left >>>= GROUP_BITS) next = to.writeUInt8((left % GROUP) + GROUP, next);
  return to.writeUInt8(left, next);
}
