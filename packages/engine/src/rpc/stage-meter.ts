import type { Percentiles, StageTiming } from "@clusterd/wire";

/** Steps kept for the percentiles. */
const STEPS_KEPT = 512;
/** Rounds whose times are kept, to see what ran at once. */
const SPANS_KEPT = 256;
/** The engine looks at the cache in pieces of so many cells, of which the last one is half full on average. */
const CELLS_STEP = 256;
/** A longer pause is nobody asking, not a stage waiting for its turn. */
const PAUSE_MS = 1_000;

/** When a stage's engine was at work on so many tokens, by this machine's monotonic clock. */
export interface WorkSpan {
  readonly beginMs: number;
  readonly endMs: number;
  readonly tokens: number;
}

interface Step {
  readonly compute: number;
  readonly wire: number;
  readonly idle: number;
  readonly up: number;
  readonly down: number;
  readonly tokens: number;
  readonly cells: number;
}

interface OpenRound {
  readonly sentMs: number;
  /** When the latest of its graphs was sent. */
  readonly latestMs: number;
  readonly tokens: number;
  readonly cells: number;
  readonly up: number;
}

/** Tells times and traffic of one stage from the frames that pass. Times are ms of a monotonic clock. */
export interface StageMeter {
  /** Bytes towards the worker. */
  sent(bytes: number): void;
  /** A hidden state for so many tokens was sent. */
  hidden(tokens: number): void;
  /** A mask over so many cells of the cache was sent. */
  mask(cells: number): void;
  graph(nowMs: number): void;
  /** Another one, of which the latest round's result will tell as well: of a prompt's batches the last stage is asked for the last one's. */
  anotherGraph(nowMs: number): void;
  /** The result of the oldest graph has come. */
  answered(nowMs: number, workMs: number, bytes: number): void;
  /** What is being waited for, in all, and since when all of it was there. */
  readonly open: { readonly sinceMs: number; readonly tokens: number } | null;
  readonly timing: Omit<StageTiming, "encrypted"> | null;
  /** Milliseconds of a decode step from graph to result: the 95th percentile, once there were a few. */
  readonly stepMs: number | null;
  readonly spans: readonly WorkSpan[];
}

/** `decodeTokensMax`: what a decode step has at most, one token for each slot and its draft; more is a prompt. */
export function createStageMeter(decodeTokensMax: number): StageMeter {
  const steps: Step[] = [];
  const spans: WorkSpan[] = [];
  let [stepCount, spanCount] = [0, 0];
  let open: OpenRound[] = [];
  let answeredMs: number | null = null;
  let tokens = 0;
  let cells = 0;
  let up = 0;

  const values = (of: (step: Step) => number): number[] => steps.map(of).toSorted((a, b) => a - b);

  return {
    sent(bytes) {
      up += bytes;
    },
    hidden(given) {
      tokens = Math.max(tokens, given);
    },
    mask(given) {
      cells = Math.max(cells, given);
    },
    graph(nowMs) {
      open.push({ sentMs: nowMs, latestMs: nowMs, tokens, cells, up });
      // Never so many in a real pipeline; a round without a result must not stay for ever.
      if (open.length > STEPS_KEPT) open = open.slice(1);
      [tokens, cells, up] = [0, 0, 0];
    },
    anotherGraph(nowMs) {
      const round = open.pop();
      if (round === undefined) return;
      const most = Math.max(round.cells, cells);
      open.push({ ...round, latestMs: nowMs, tokens: round.tokens + tokens, cells: most, up: round.up + up });
      [tokens, cells, up] = [0, 0, 0];
    },
    answered(nowMs, workMs, bytes) {
      const round = open.shift();
      if (round === undefined) return;
      spans[spanCount++ % SPANS_KEPT] = { beginMs: nowMs - workMs, endMs: nowMs, tokens: round.tokens };
      const begunMs = Math.max(round.sentMs, answeredMs ?? 0);
      const idle = answeredMs === null ? Infinity : round.sentMs - answeredMs;
      if (round.tokens <= decodeTokensMax && idle < PAUSE_MS) {
        steps[stepCount++ % STEPS_KEPT] = {
          compute: workMs,
          wire: Math.max(0, nowMs - begunMs - workMs),
          idle: Math.max(0, idle),
          up: round.up,
          down: bytes,
          tokens: Math.max(1, round.tokens),
          cells: round.cells,
        };
      }
      answeredMs = nowMs;
    },
    get open() {
      const [round] = open;
      return round === undefined ? null : { sinceMs: round.latestMs, tokens: round.tokens };
    },
    get timing() {
      if (steps.length === 0) return null;
      const total = steps.reduce((sum, step) => sum + step.tokens, 0);
      const cycle = percentiles(values((step) => step.compute + step.wire + step.idle)).p50;
      return {
        steps: stepCount,
        tokensPerStep: total / steps.length,
        cacheTokens: steps.reduce((sum, step) => sum + Math.max(0, step.cells - CELLS_STEP / 2), 0) / steps.length,
        computeMs: percentiles(values((step) => step.compute)),
        wireMs: percentiles(values((step) => step.wire)),
        idleMs: percentiles(values((step) => step.idle)),
        bytesUp: Math.round(steps.reduce((sum, step) => sum + step.up, 0) / total),
        bytesDown: Math.round(steps.reduce((sum, step) => sum + step.down, 0) / total),
        tokensPerSecond: cycle > 0 ? (1000 / cycle) * (total / steps.length) : 0,
      };
    },
    get stepMs() {
      const all = values((step) => step.compute + step.wire);
      return all.length < 4 ? null : percentiles(all).p95;
    },
    get spans() {
      return spans.toSorted((a, b) => a.beginMs - b.beginMs);
    },
  };
}

function percentiles(sorted: readonly number[]): Percentiles {
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return { p50: at(0.5), p95: at(0.95) };
}
