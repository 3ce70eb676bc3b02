/** Which chunks of a file are on the disk for good. Chunks are of equal size, the last may be shorter. */
export interface ChunkLedger {
  readonly fileBytes: number;
  readonly chunkBytes: number;
  readonly count: number;
  /** Bytes of the chunks that are done. */
  readonly doneBytes: number;
  isDone(chunk: number): boolean;
  add(chunk: number): void;
  /** First and last byte of a chunk. */
  range(chunk: number): readonly [number, number];
  /** Of those that are not done, in order. */
  missing(): readonly number[];
  /** As text, read back by {@link parseLedger}. */
  text(identity: string): string;
}

const VERSION = 1;

/** An empty ledger, or one with the chunks of `done` (a bit each, the lowest first). */
export function createLedger(fileBytes: number, chunkBytes: number, done?: Uint8Array): ChunkLedger {
  const count = Math.ceil(fileBytes / chunkBytes);
  const bits = new Uint8Array(Math.ceil(count / 8));
  let doneBytes = 0;
  const range = (chunk: number): readonly [number, number] => [
    chunk * chunkBytes,
    Math.min(fileBytes, (chunk + 1) * chunkBytes) - 1,
  ];
  const isDone = (chunk: number): boolean => (((bits[chunk >> 3] ?? 0) >> (chunk & 7)) & 1) === 1;
  const add = (chunk: number): void => {
    if (chunk < 0 || chunk >= count || isDone(chunk)) return;
    bits[chunk >> 3] = (bits[chunk >> 3] ?? 0) | (1 << (chunk & 7));
    const [first, last] = range(chunk);
    doneBytes += last - first + 1;
  };
  if (done !== undefined)
    for (let chunk = 0; chunk < count; chunk++) if (((done[chunk >> 3] ?? 0) >> (chunk & 7)) & 1) add(chunk);
  return {
    fileBytes,
    chunkBytes,
    count,
    get doneBytes() {
      return doneBytes;
    },
    isDone,
    add,
    range,
    missing: () => Array.from({ length: count }, (_, chunk) => chunk).filter((chunk) => !isDone(chunk)),
    text: (identity) =>
      JSON.stringify({ version: VERSION, identity, fileBytes, chunkBytes, done: Buffer.from(bits).toString("base64") }),
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
  const { done } = fields;
  const isOurs =
    fields["version"] === VERSION &&
    fields["identity"] === identity &&
    fields["fileBytes"] === fileBytes &&
    fields["chunkBytes"] === chunkBytes;
  if (!isOurs || typeof done !== "string") return null;
  const bits = Buffer.from(done, "base64");
  return bits.length === Math.ceil(Math.ceil(fileBytes / chunkBytes) / 8) ? createLedger(fileBytes, chunkBytes, bits) : null;
}
