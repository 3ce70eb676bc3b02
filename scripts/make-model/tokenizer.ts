import { encodeFloat32, encodeList, encodeText, encodeUint32, type MetadataEntry } from "./gguf-metadata.ts";

const UINT32 = 4;
const INT32 = 5;
const FLOAT32 = 6;
const TEXT = 8;
/** GGUF's mark of an ordinary token. */
const NORMAL = 1;
const LIST_HEADER_BYTES = 12;

/** Of a model's metadata what is its tokenizer's, padded with words of no meaning to `size` tokens (0: as it is). */
export function paddedTokenizer(metadata: readonly MetadataEntry[], size: number): readonly MetadataEntry[] {
  const own = metadata.filter(({ key }) => key.startsWith("tokenizer."));
  const count = tokenCount(own);
  if (size === 0 || size === count) return own;
  if (size < count) throw new Error(`--vocab must be at least ${count}, the tokens of the demo model's tokenizer.`);
  const padding = Array.from({ length: size - count }, (_, index) => encodeText(`Ġw${index}`));
  return own.map((entry) => {
    if (entry.key === "tokenizer.ggml.tokens") return longer(entry, TEXT, padding);
    if (entry.key === "tokenizer.ggml.token_type")
      return longer(
        entry,
        INT32,
        padding.map(() => encodeUint32(NORMAL)),
      );
    if (entry.key === "tokenizer.ggml.scores")
      return longer(
        entry,
        FLOAT32,
        padding.map(() => encodeFloat32(0)),
      );
    return entry;
  });
}

/** Tokens of a tokenizer. */
export function tokenCount(metadata: readonly MetadataEntry[]): number {
  const tokens = metadata.find(({ key }) => key === "tokenizer.ggml.tokens");
  if (tokens === undefined) throw new Error("The demo model has no tokens.");
  return Number(tokens.bytes.readBigUInt64LE(UINT32));
}

function longer(entry: MetadataEntry, itemType: number, items: readonly Buffer[]): MetadataEntry {
  const count = Number(entry.bytes.readBigUInt64LE(4)) + items.length;
  const whole = encodeList(itemType, [entry.bytes.subarray(LIST_HEADER_BYTES), ...items]);
  whole.writeBigUInt64LE(BigInt(count), 4);
  return { ...entry, bytes: whole };
}
