import type { Socket } from "node:net";
import { ClusterdError } from "@clusterd/wire";

/** What one node asks of another's model: what there is, a part's header, a block, or what a block is. */
export type WeightAsk =
  | { readonly want: "map" }
  | { readonly want: "header"; readonly index: number }
  | { readonly want: "block"; readonly index: number }
  | { readonly want: "digest"; readonly index: number };

/** The line before an answer's bytes. */
export type WeightAnswer =
  | { readonly bytes: number }
  /** The block is not there (any more), or was never. */
  | { readonly missing: true };

const LINE_BYTES_MAX = 256;
const NEWLINE = 0x0a;
const WANTS: ReadonlySet<string> = new Set(["map", "header", "block", "digest"]);

export const encodeLine = (value: WeightAsk | WeightAnswer): string => `${JSON.stringify(value)}\n`;

/** The ask in a line; null where it is none. */
export function parseAsk(line: string): WeightAsk | null {
  const { want, index } = objectIn(line);
  if (typeof want !== "string" || !WANTS.has(want)) return null;
  if (want === "map") return { want };
  return Number.isSafeInteger(index) && (index as number) >= 0 ? ({ want, index } as WeightAsk) : null;
}

/** The answer in a line; null where it is none, or says more bytes than it may. */
export function parseAnswer(line: string, bytesMax: number): WeightAnswer | null {
  const { bytes, missing } = objectIn(line);
  if (missing === true) return { missing: true };
  return Number.isSafeInteger(bytes) && (bytes as number) >= 0 && (bytes as number) <= bytesMax
    ? { bytes: bytes as number }
    : null;
}

function objectIn(line: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}

/** Lines and counted bytes of a socket, in the order in which they come. Both give null at its end. */
export interface SocketReader {
  line(): Promise<string | null>;
  bytes(count: number): Promise<Buffer | null>;
}

/** Reads a socket piece by piece: nothing is taken from it that was not asked for. */
export function readSocket(socket: Socket): SocketReader {
  const chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let rest: Buffer = Buffer.alloc(0);
  const more = async (): Promise<boolean> => {
    const { done, value } = await chunks.next();
    if (done === true) return false;
    rest = rest.length === 0 ? value : Buffer.concat([rest, value]);
    return true;
  };
  return {
    async line() {
      for (;;) {
        const end = rest.indexOf(NEWLINE);
        if (end > LINE_BYTES_MAX || (end === -1 && rest.length > LINE_BYTES_MAX))
          throw new ClusterdError("invalid_request", "A line is too long.");
        if (end !== -1) {
          const line = rest.toString("utf8", 0, end);
          rest = rest.subarray(end + 1);
          return line;
        }
        if (!(await more())) return null;
      }
    },
    async bytes(count) {
      const taken = Buffer.allocUnsafe(count);
      let at = 0;
      for (;;) {
        const copied = rest.copy(taken, at, 0, Math.min(rest.length, count - at));
        rest = rest.subarray(copied);
        at += copied;
        if (at === count) return taken;
        if (!(await more())) return null;
      }
    },
  };
}
