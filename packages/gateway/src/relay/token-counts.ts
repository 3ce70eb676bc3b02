import { isObject } from "../json-body.ts";

/** Tokens of one exchange: the prompt's, and those generated. */
export interface TokenCounts {
  readonly prompt: number;
  readonly completion: number;
}

const TIMINGS = Buffer.from('"timings":{');
/** Of upstreams, which have no timings. */
const USAGE = Buffer.from('"usage":{');

/** Whether a chunk carries a count. The quotes of text inside JSON are escaped, so text cannot pretend to it. */
export function mayCount(bytes: Buffer): boolean {
  return bytes.includes(TIMINGS) || bytes.includes(USAGE);
}

/** The count in an engine's answer or last chunk: its `usage`, else its own `timings`. */
export function countsOf(answer: unknown): TokenCounts | null {
  if (!isObject(answer)) return null;
  const { usage, timings } = answer;
  if (isObject(usage)) return { prompt: whole(usage["prompt_tokens"]), completion: whole(usage["completion_tokens"]) };
  if (!isObject(timings)) return null;
  return { prompt: whole(timings["cache_n"]) + whole(timings["prompt_n"]), completion: whole(timings["predicted_n"]) };
}

function whole(value: unknown): number {
  return Number.isSafeInteger(value) && (value as number) > 0 ? (value as number) : 0;
}
