/** One entry of a GGUF file's metadata, its value still encoded. */
export interface MetadataEntry {
  readonly key: string;
  readonly type: number;
  readonly bytes: Buffer;
}

const TEXT = 8;
const LIST = 9;
/** Bytes of the values of fixed size, by GGUF's type number. */
const FIXED_BYTES: Readonly<Record<number, number>> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };

/** The metadata of a whole file's bytes. For files of our own: a broken one makes it throw. */
export function readMetadata(file: Buffer): readonly MetadataEntry[] {
  const entries: MetadataEntry[] = [];
  const count = Number(file.readBigUInt64LE(16));
  let at = 24;
  const textEnd = (start: number): number => start + 8 + Number(file.readBigUInt64LE(start));
  const valueEnd = (type: number, start: number): number => {
    if (type === TEXT) return textEnd(start);
    if (type !== LIST) return start + (FIXED_BYTES[type] ?? Number.NaN);
    const itemType = file.readUInt32LE(start);
    let end = start + 12;
    for (let left = Number(file.readBigUInt64LE(start + 4)); left > 0; left -= 1) end = valueEnd(itemType, end);
    return end;
  };
  while (entries.length < count) {
    const keyEnd = textEnd(at);
    const key = file.toString("utf8", at + 8, keyEnd);
    const type = file.readUInt32LE(keyEnd);
    const end = valueEnd(type, keyEnd + 4);
    entries.push({ key, type, bytes: file.subarray(keyEnd + 4, end) });
    at = end;
  }
  return entries;
}

export function encodeText(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([length, bytes]);
}

export function encodeUint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function encodeUint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

/** A list of a value's items as they are encoded, without their type and number. */
export function encodeList(itemType: number, items: readonly Buffer[]): Buffer {
  return Buffer.concat([encodeUint32(itemType), encodeUint64(items.length), ...items]);
}

export function encodeFloat32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}
