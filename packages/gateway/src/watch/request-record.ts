import type { Caller } from "../gateway-env.ts";
import type { TokenCounts } from "../relay/token-counts.ts";

/** How a request ended: exactly one of these. */
export type Outcome = "answered" | "refused" | "failed" | "client_gone" | "slow_reader";

/** One request, as it is logged and counted. Nothing of its content. */
export interface RequestRecord {
  readonly id: string;
  readonly startedMs: number;
  /** Method and pattern of the route, not the path that was sent. */
  readonly route: string;
  /** Null until the request has passed the entrance. */
  caller: Caller | null;
  /** The deployment's model: never the name that was sent. */
  model: string | null;
  counts: TokenCounts | null;
  /** From the request's start to the first and to the latest token of its answer, ms. */
  firstTokenMs: number | null;
  lastTokenMs: number | null;
  /** Chunks with tokens that the engine has sent, also of an answer that broke off. */
  chunks: number;
  /** Whether its end comes later than its response: its stream is still running. */
  streaming: boolean;
}

const CLIENT_ID = /^[\w.:-]{1,64}$/;

export function startRecord(request: Request, route: string): RequestRecord {
  const given = request.headers.get("x-request-id");
  return {
    id: given !== null && CLIENT_ID.test(given) ? given : crypto.randomUUID(),
    startedMs: performance.now(),
    route,
    caller: null,
    model: null,
    counts: null,
    firstTokenMs: null,
    lastTokenMs: null,
    chunks: 0,
    streaming: false,
  };
}

export function outcomeOfStatus(status: number): Outcome {
  if (status < 400) return "answered";
  return status >= 500 ? "failed" : "refused";
}

/** Notes that a chunk with tokens has come. */
export function tokenCame(record: RequestRecord): void {
  const ms = performance.now() - record.startedMs;
  record.firstTokenMs ??= ms;
  record.lastTokenMs = ms;
  record.chunks += 1;
}

/** What a request has cost: as the engine counted; where it broke off before that, a token for each chunk, its prompt left out. */
export function tokensSpent({ counts, chunks }: RequestRecord): number {
  return counts === null ? chunks : counts.prompt + counts.completion;
}

/** One line for the log. */
export function logLine(record: RequestRecord, status: number, outcome: Outcome): string {
  const { id, route, model, counts, startedMs } = record;
  const tokens = counts === null ? "" : ` prompt_tokens=${counts.prompt} completion_tokens=${counts.completion}`;
  const named = model === null ? "" : ` model=${JSON.stringify(model)}`;
  return `request ${id} ${route}${named} status=${status} outcome=${outcome} ms=${Math.round(performance.now() - startedMs)}${tokens}`;
}
