import { LIVELY_CPU_MS, type ProcessActivity } from "../process/process-activity.ts";
import type { StageMeter } from "./stage-meter.ts";

/** How often the clock is looked at. */
const TICK_MS = 200;
/** Silence after which a sign of life is asked for. */
const PING_AFTER_MS = 400;
/** Silence after which the peer's machine is asked for a new connection, which its kernel answers however busy its programs are. */
const PROBE_AFTER_MS = 800;
/** Silence after which a node is lost although its machine is there. */
const SILENCE_MS_MAX = 15_000;
/** We ourselves were held up for longer than this: what others did meanwhile is not known. */
const OWN_DELAY_MS = 500;

/** A decode step may take this multiple of what 95 of 100 took… */
const STALL_MULTIPLE = 20;
/** …but at least, and at most, so long. */
const STALL_MS_MIN = 5_000;
const STALL_MS_MAX = 30_000;
/** Before there is a history, and for what is no step. */
const STALL_MS_UNKNOWN = 120_000;
/** Each token of a prompt may take this multiple of a decode step. */
const PREFILL_MULTIPLE = 2;
/** An engine that wants to compute and may not, or hardly, is given this long, or its own limit where that is longer. */
const STARVED_MS_MAX: number = STALL_MS_MAX;
/** How often an engine that is beyond its limit is looked at, and how long its node may take to say what it is doing. */
const ACTIVITY_EVERY_MS = 1_000;
const ACTIVITY_MS_MAX = 5_000;

/** How long a batch may take without a frame before its stage is stuck: ms. `stepMs`: 95th percentile of a decode step. */
export function stallLimitMs(stepMs: number | null, tokens: number): number {
  if (stepMs === null) return STALL_MS_UNKNOWN;
  const step = Math.min(STALL_MS_MAX, Math.max(STALL_MS_MIN, STALL_MULTIPLE * stepMs));
  return tokens <= 1 ? step : step + PREFILL_MULTIPLE * tokens * stepMs;
}

export interface StageWatchOptions {
  readonly meter: Pick<StageMeter, "open" | "stepMs">;
  /** Asks for a sign of life. */
  ping(): void;
  /** Whether the peer's machine takes a new connection. */
  probe(): Promise<boolean>;
  /** Whether the engine waits for any answer at all. */
  waiting(): boolean;
  /** What the stage's engine is doing, by its own node; null: it is gone, or nobody can tell. Absent: nobody can tell. */
  activity?(signal: AbortSignal): Promise<ProcessActivity | null>;
  onLost(reason: string): void;
  onStalled(reason: string): void;
  /** ms of a monotonic clock. */
  now?(): number;
}

/** Tells a slow stage from a stuck one and from a dead one, by what passes its tunnel. */
export interface StageWatch extends Disposable {
  heard(progress: boolean): void;
  /** Looks at the clock; called by its own timer. */
  look(): void;
  /** Whether there is a connection to watch. */
  active: boolean;
}

export function createStageWatch(options: StageWatchOptions): StageWatch {
  const { meter } = options;
  const now = options.now ?? ((): number => performance.now());
  let heardMs = now();
  let progressMs = heardMs;
  let pingedMs = heardMs;
  let lookedMs = heardMs;
  /** When nothing was asked of the stage, last: what is asked after an idle hour has not been worked on for an hour. */
  let idleMs = heardMs;
  let active = false;
  let over = false;
  let probing = false;
  /** What its engine was doing when it was looked at last in this wait, and when that was. */
  let seen: ProcessActivity | null = null;
  let seenMs = Number.NEGATIVE_INFINITY;
  let looking = false;

  function end(tell: (reason: string) => void, reason: string): void {
    over = true;
    clearInterval(timer);
    tell(reason);
  }

  async function ask(): Promise<void> {
    probing = true;
    const askedMs = now();
    const answers = await options.probe().catch(() => false);
    probing = false;
    if (over || !active || answers || heardMs > askedMs) return;
    end(options.onLost, `nothing was heard of it for ${seconds(now() - heardMs)}, and its machine takes no connection`);
  }

  function look(): void {
    const nowMs = now();
    const delayMs = nowMs - lookedMs - TICK_MS;
    lookedMs = nowMs;
    if (over || !active) return;
    // Doubt ourselves first.
    if (delayMs > OWN_DELAY_MS) {
      heardMs += delayMs;
      progressMs += delayMs;
      idleMs += delayMs;
      return;
    }
    const silence = nowMs - heardMs;
    if (silence >= SILENCE_MS_MAX) {
      end(options.onLost, `nothing was heard of it for ${seconds(silence)}, though its machine is there`);
      return;
    }
    if (silence >= PROBE_AFTER_MS && !probing) void ask();
    if (silence >= PING_AFTER_MS && nowMs - pingedMs >= PING_AFTER_MS) {
      pingedMs = nowMs;
      options.ping();
    }
    const { open } = meter;
    if (open === null && !options.waiting()) {
      idleMs = nowMs;
      return;
    }
    const limit = open === null ? STALL_MS_UNKNOWN : stallLimitMs(meter.stepMs, open.tokens);
    const waited = waitedMs();
    if (waited > Math.max(limit, options.activity === undefined ? 0 : STARVED_MS_MAX)) {
      stalled(waited, "");
    } else if (options.activity === undefined || limit >= STARVED_MS_MAX || waited <= limit / 2) {
      seen = null;
    } else if (!looking && nowMs - seenMs >= ACTIVITY_EVERY_MS) {
      // Looked at first while it is still within its limit, so that there is something to compare with.
      void lookAtEngine(limit);
    }
  }

  /** Stuck, unless it computes or wants to: whoever is starved cannot help it. */
  async function lookAtEngine(limit: number): Promise<void> {
    looking = true;
    const before = progressMs;
    const next = (await options.activity?.(AbortSignal.timeout(ACTIVITY_MS_MAX)).catch(() => null)) ?? null;
    looking = false;
    if (over || !active || progressMs !== before) {
      seen = null;
      return;
    }
    const computes = seen !== null && next !== null && next.cpuMs >= seen.cpuMs + LIVELY_CPU_MS;
    // One that sleeps is looked at twice: it may have computed between the looks.
    const lives = next !== null && !next.stopped && (next.runnable || computes || seen === null);
    seen = next;
    seenMs = now();
    if (lives || waitedMs() <= limit) return;
    stalled(waitedMs(), next === null ? "" : next.stopped ? "; its process was stopped" : "; it does nothing");
  }

  function stalled(waited: number, how: string): void {
    const { open } = meter;
    const what = open === null ? "an answer" : open.tokens > 1 ? `a batch of ${open.tokens} tokens` : "a token";
    const usual = meter.stepMs === null ? "" : `; a step takes it ${Math.round(meter.stepMs)} ms`;
    end(options.onStalled, `it works on ${what} for ${seconds(waited)} without a sign of progress${usual}${how}`);
  }

  const waitedMs = (): number => now() - Math.max(progressMs, meter.open?.sinceMs ?? idleMs);

  const timer = setInterval(look, TICK_MS);
  timer.unref();
  return {
    heard(progress) {
      heardMs = now();
      if (progress) progressMs = heardMs;
    },
    look,
    get active() {
      return active;
    },
    set active(wanted) {
      if (wanted && !active) {
        heardMs = now();
        progressMs = heardMs;
        lookedMs = heardMs;
      }
      active = wanted;
    },
    [Symbol.dispose]() {
      over = true;
      clearInterval(timer);
    },
  };
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
