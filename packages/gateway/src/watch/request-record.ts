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
  /** Time in the queue for a turn, ms; null: it had not to wait. */
  queuedMs: number | null;
  /** When its waiting began, ms of `performance.now()`. */
  waitsSinceMs: number | null;
  /** From the request's start to the first and to the latest token of its answer, ms. */
  firstTokenMs: number | null;
  lastTokenMs: number | null;
  /** Chunks with tokens that the engine has sent, also of an answer that broke off. */
  chunks: number;
  /** Whether its end comes later than its response: its stream is still running. */
  streaming: boolean;
  /** What was asked instead of the cluster, and which fields it was not sent; null: nothing. */
  upstream: { readonly name: string; readonly model: string; leftOut: readonly string[] } | null;
  /** Whether the answer was a kept one; null: it could not be. */
  cache: "hit" | "miss" | null;
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
    queuedMs: null,
    waitsSinceMs: null,
    firstTokenMs: null,
    lastTokenMs: null,
    chunks: 0,
    streaming: false,
    upstream: null,
    cache: null,
  };
}

export function outcomeOfStatus(status: number): Outcome {
  if (status < 400) return "answered";
  return status >= 500 ? "failed" : "refused";
}

/** Notes a place in the queue for a turn; 0: it has its turn. */
export function queueMoved(record: RequestRecord, position: number): void {
  if (position > 0) {
    record.waitsSinceMs ??= performance.now();
    return;
  }
  if (record.waitsSinceMs === null) return;
  record.queuedMs = (record.queuedMs ?? 0) + performance.now() - record.waitsSinceMs;
  record.waitsSinceMs = null;
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

/** One line for the log: who, what, how it ended, how long it took. Nothing of the request's content or headers is in it. */
export function logLine(record: RequestRecord, status: number, outcome: Outcome): string {
  const { id, route, model, counts, startedMs, caller, queuedMs, firstTokenMs, upstream, cache } = record;
  const ms = (value: number): string => String(Math.round(value));
  const fields: readonly (readonly [string, string | null])[] = [
    ["key", caller?.name == null ? null : JSON.stringify(caller.name)],
    ["model", model === null ? null : JSON.stringify(model)],
    ["upstream", upstream === null ? null : JSON.stringify(upstream.name)],
    ["cache", cache],
    ["status", String(status)],
    ["outcome", outcome],
    ["ms", ms(performance.now() - startedMs)],
    ["queued_ms", queuedMs === null ? null : ms(queuedMs)],
    ["first_token_ms", firstTokenMs === null ? null : ms(firstTokenMs)],
    ["prompt_tokens", counts === null ? null : String(counts.prompt)],
    ["completion_tokens", counts === null ? null : String(counts.completion)],
  ];
  const told = fields.flatMap(([name, value]) => (value === null ? [] : [`${name}=${value}`]));
  return `request ${id} ${route} ${told.join(" ")}`;
}
