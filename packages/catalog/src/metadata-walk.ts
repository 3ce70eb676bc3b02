import { brokenModel } from "./broken-model.ts";
import type { HeaderCursor } from "./header-cursor.ts";
import { KEY_BYTES_MAX, METADATA_TEXT_MAX } from "./limits.ts";
import { plainText } from "./plain-text.ts";

/** What the guard itself needs of a file's metadata; everything else is left to the reader. */
export interface GuardedMetadata {
  readonly alignment: number;
  readonly architecture: string | null;
  readonly splitNumber: number | null;
  readonly splitCount: number | null;
  readonly splitTensorCount: number | null;
}

/** Bytes of a metadata value by its type number; absent: text (8), array (9), or no known type. */
const VALUE_BYTES: ReadonlyMap<number, number> = new Map([
  [0, 1],
  [1, 1],
  [2, 2],
  [3, 2],
  [4, 4],
  [5, 4],
  [6, 4],
  [7, 1],
  [10, 8],
  [11, 8],
  [12, 8],
]);
const TYPE_UINT16 = 2;
const TYPE_UINT32 = 4;
const TYPE_INT32 = 5;
const TYPE_TEXT = 8;
const TYPE_ARRAY = 9;
const ALIGNMENT_DEFAULT = 32;
const ALIGNMENT_MAX = 65_536;

/** Walks over all metadata, checking every length against the file before anything is read or allocated for it. */
export async function walkMetadata(cursor: HeaderCursor, count: number, path: string): Promise<GuardedMetadata> {
  const seen = new Map<string, number | string | null>();
  for (let index = 0; index < count; index += 1) {
    await cursor.fill(8);
    const keyBytes = cursor.u64();
    if (keyBytes === 0 || keyBytes > KEY_BYTES_MAX) {
      throw brokenModel(path, `its header is corrupt: metadata entry ${index + 1} claims a name of ${keyBytes} bytes`);
    }
    await cursor.fill(keyBytes + 4);
    const key = cursor.text(keyBytes);
    if (seen.has(key)) throw brokenModel(path, `its header is corrupt: "${plainText(key, 80)}" is given twice`);
    seen.set(key, await walkValue(cursor, cursor.u32(), key, path));
  }
  return guardedMetadata(seen, path);
}

function guardedMetadata(seen: ReadonlyMap<string, number | string | null>, path: string): GuardedMetadata {
  const whole = (key: string): number | null => {
    const value = seen.get(key);
    return typeof value === "number" ? value : null;
  };
  const alignment = seen.has("general.alignment") ? (whole("general.alignment") ?? 0) : ALIGNMENT_DEFAULT;
  if (alignment < 1 || alignment > ALIGNMENT_MAX || (alignment & (alignment - 1)) !== 0) {
    throw brokenModel(path, `its header is corrupt: an alignment of ${alignment}`);
  }
  const architecture = seen.get("general.architecture");
  return {
    alignment,
    architecture: typeof architecture === "string" ? architecture : null,
    splitNumber: whole("split.no"),
    splitCount: whole("split.count"),
    splitTensorCount: whole("split.tensors.count"),
  };
}

/** Walks over one value; gives it where it is a short text or a whole number of the kinds the guard needs. */
async function walkValue(cursor: HeaderCursor, type: number, key: string, path: string): Promise<number | string | null> {
  if (type === TYPE_TEXT) return walkText(cursor, key, path);
  if (type === TYPE_ARRAY) {
    await walkArray(cursor, key, path);
    return null;
  }
  const bytes = VALUE_BYTES.get(type);
  if (bytes === undefined) throw unknownType(path, key, type);
  await cursor.fill(bytes);
  if (type === TYPE_UINT16) return cursor.u16();
  if (type === TYPE_UINT32 || type === TYPE_INT32) return cursor.u32();
  await cursor.skip(bytes);
  return null;
}

async function walkText(cursor: HeaderCursor, key: string, path: string): Promise<string | null> {
  await cursor.fill(8);
  const bytes = cursor.u64();
  if (bytes > cursor.remaining()) throw tooLong(path, key, `a text of ${bytes} bytes`);
  if (bytes > METADATA_TEXT_MAX) {
    await cursor.skip(bytes);
    return null;
  }
  await cursor.fill(bytes);
  return cursor.text(bytes);
}

async function walkArray(cursor: HeaderCursor, key: string, path: string): Promise<void> {
  await cursor.fill(12);
  const type = cursor.u32();
  const count = cursor.u64();
  const itemBytes = type === TYPE_TEXT ? 8 : VALUE_BYTES.get(type);
  if (itemBytes === undefined) throw unknownType(path, key, type);
  if (count * itemBytes > cursor.remaining()) throw tooLong(path, key, `a list of ${count} items`);
  if (type !== TYPE_TEXT) {
    await cursor.skip(count * itemBytes);
    return;
  }
  for (let index = 0; index < count; index += 1) {
    // Awaiting only where the window runs out keeps a vocabulary of 300,000 tokens at some 20 ms.
    if (cursor.buffered() < 8) await cursor.fill(8);
    const bytes = cursor.u64();
    if (bytes > cursor.remaining()) throw tooLong(path, key, `a text of ${bytes} bytes`);
    if (bytes > cursor.buffered()) await cursor.skip(bytes);
    else cursor.pass(bytes);
  }
}

const tooLong = (path: string, key: string, what: string): Error =>
  brokenModel(path, `its header is corrupt: "${plainText(key, 80)}" claims ${what}, more than the file holds`);

const unknownType = (path: string, key: string, type: number): Error =>
  brokenModel(path, `its header is corrupt: "${plainText(key, 80)}" has the unknown type ${type}`);
