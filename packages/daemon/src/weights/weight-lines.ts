/** What one node asks of another's model: what there is, what its bytes must be, a part's header, a block, or what a block is. */
export type WeightAsk =
  | { readonly want: "map" }
  | { readonly want: "manifest" }
  | { readonly want: "header"; readonly index: number; readonly packed?: boolean }
  /** `packed`: slices of it may come compressed by zstd. */
  | { readonly want: "block"; readonly index: number; readonly packed?: boolean }
  | { readonly want: "digest"; readonly index: number };

/** The line before an answer's slices. */
export type WeightAnswer =
  | { readonly bytes: number }
  /** The block is not there (any more), or was never. */
  | { readonly missing: true };

/** The line before each slice of an answer: how long it is, and in how many bytes it comes; packed where these are fewer. */
export interface WeightSlice {
  readonly plain: number;
  readonly sent: number;
}

const WANTS: ReadonlySet<string> = new Set(["map", "manifest", "header", "block", "digest"]);

export const encodeLine = (value: WeightAsk | WeightAnswer | WeightSlice): string => `${JSON.stringify(value)}\n`;

/** The ask in a line; null where it is none. */
export function parseAsk(line: string): WeightAsk | null {
  const { want, index, packed } = objectIn(line);
  if (typeof want !== "string" || !WANTS.has(want)) return null;
  if (want === "map" || want === "manifest") return { want };
  return isCount(index) ? ({ want, index, ...(packed === true ? { packed } : {}) } as WeightAsk) : null;
}

/** The answer in a line; null where it is none, or says more bytes than it may. */
export function parseAnswer(line: string, bytesMax: number): WeightAnswer | null {
  const { bytes, missing } = objectIn(line);
  if (missing === true) return { missing: true };
  return isCount(bytes) && bytes <= bytesMax ? { bytes } : null;
}

/** The slice in a line; null where it is none, is longer than it may be, or comes in more bytes than it has. */
export function parseSlice(line: string, plainMax: number): WeightSlice | null {
  const { plain, sent } = objectIn(line);
  const isSlice = isCount(plain) && isCount(sent) && plain > 0 && plain <= plainMax && sent > 0 && sent <= plain;
  return isSlice ? { plain, sent } : null;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function objectIn(line: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}
