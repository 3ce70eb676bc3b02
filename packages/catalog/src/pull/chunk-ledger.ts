/** Which chunks of a file are on the disk for good, and what they were when they came. Chunks are of equal size, the last may be shorter. */
export interface ChunkLedger {
  readonly fileBytes: number;
  readonly chunkBytes: number;
  readonly count: number;
  /** Bytes of the chunks that are done. */
  readonly doneBytes: number;
  isDone(chunk: number): boolean;
  /** `sum`: CRC-32 of its bytes as they came. */
  add(chunk: number, sum: number): void;
  /** To be fetched again. */
  remove(chunk: number): void;
  /** CRC-32 of a chunk that is done as it came; null: it is not done. */
  sum(chunk: number): number | null;
  /** First and last byte of a chunk. */
  range(chunk: number): readonly [number, number];
  /** Of those that are not done, in order. */
  missing(): readonly number[];
  /** As text, read back by {@link parseLedger}. */
  text(identity: string): string;
}

const VERSION = 2;
const SUM_BYTES = 4;

/** An empty ledger, or one with the chunks of `done` (a bit each, the lowest first) and their sums (four bytes each, the lowest first). */
export function createLedger(
  fileBytes: number,
  chunkBytes: number,
  kept?: { readonly done: Uint8Array; readonly sums: Buffer },
): ChunkLedger {
  const count = Math.ceil(fileBytes / chunkBytes);
  const bits = new Uint8Array(Math.ceil(count / 8));
  const sums = Buffer.alloc(count * SUM_BYTES);
  let doneBytes = 0;
  const range = (chunk: number): readonly [number, number] => [
    chunk * chunkBytes,
    Math.min(fileBytes, (chunk + 1) * chunkBytes) - 1,
  ];
  const bytesIn = (chunk: number): number => range(chunk)[1] - range(chunk)[0] + 1;
  const isDone = (chunk: number): boolean => (((bits[chunk >> 3] ?? 0) >> (chunk & 7)) & 1) === 1;
  const add = (chunk: number, sum: number): void => {
    if (!Number.isInteger(chunk) || chunk < 0 || chunk >= count) return;
    sums.writeUInt32LE(sum >>> 0, chunk * SUM_BYTES);
    if (isDone(chunk)) return;
    bits[chunk >> 3] = (bits[chunk >> 3] ?? 0) | (1 << (chunk & 7));
    doneBytes += bytesIn(chunk);
  };
  if (kept !== undefined)
    for (let chunk = 0; chunk < count; chunk++)
      if (((kept.done[chunk >> 3] ?? 0) >> (chunk & 7)) & 1) add(chunk, kept.sums.readUInt32LE(chunk * SUM_BYTES));
  return {
    fileBytes,
    chunkBytes,
    count,
    get doneBytes() {
      return doneBytes;
    },
    isDone,
    add,
    remove(chunk) {
      if (!isDone(chunk)) return;
      bits[chunk >> 3] = (bits[chunk >> 3] ?? 0) & ~(1 << (chunk & 7));
      doneBytes -= bytesIn(chunk);
    },
    sum: (chunk) => (isDone(chunk) ? sums.readUInt32LE(chunk * SUM_BYTES) : null),
    range,
    missing: () => Array.from({ length: count }, (_, chunk) => chunk).filter((chunk) => !isDone(chunk)),
    text: (identity) =>
      JSON.stringify({
        version: VERSION,
        identity,
        fileBytes,
        chunkBytes,
        done: Buffer.from(bits).toString("base64"),
        sums: sums.toString("base64"),
      }),
  };
}

/** The ledger that was kept for this very file; null where it is damaged, or of another file or size. */
export function parseLedger(text: string, identity: string, fileBytes: number, chunkBytes: number): ChunkLedger | null {
  let kept: unknown;
  try {
    kept = JSON.parse(text);
  } catch {
    return null;
  }
  const fields = (typeof kept === "object" && kept !== null ? kept : {}) as Readonly<Record<string, unknown>>;
  const { done, sums } = fields;
  const isOurs =
    fields["version"] === VERSION &&
    fields["identity"] === identity &&
    fields["fileBytes"] === fileBytes &&
    fields["chunkBytes"] === chunkBytes;
  if (!isOurs || typeof done !== "string" || typeof sums !== "string") return null;
  const count = Math.ceil(fileBytes / chunkBytes);
  const [bits, crcs] = [Buffer.from(done, "base64"), Buffer.from(sums, "base64")];
  if (bits.length !== Math.ceil(count / 8) || crcs.length !== count * SUM_BYTES) return null;
  return createLedger(fileBytes, chunkBytes, { done: bits, sums: crcs });
}
