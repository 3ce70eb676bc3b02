import { LIVELY_CPU_MS, type ProcessActivity } from "@clusterd/engine";

/** How often a head's engine is asked for a sign of life. */
const ASK_EVERY_MS = 2_000;
/** How long one question may take: on a machine with thirty programs for each core an answer comes late, but it comes. */
const ASK_MS_MAX = 10_000;
/** It answers in a thread that does nothing else, whatever it computes: after so long without an answer it hangs, or it is starved. */
export const SILENCE_MS_MAX = 20_000;
/** An engine that did nothing at all for so long, and did not want to either, is not starved. */
export const LIFELESS_MS = 6_000;
/** One that had so much of a processor while it was silent was not starved: the thread that answers had its turns as well. */
const UNSTARVED_SHARE = 0.5;
/** However starved it seems: nothing hangs for ever. */
export const STARVED_MS_MAX = 120_000;
/** We ourselves were held up for longer than this: what it did meanwhile is not known. */
const OWN_DELAY_MS = 500;

export interface HeadWatchOptions {
  /** Whether the engine answers. */
  ask(signal: AbortSignal): Promise<boolean>;
  /** What its process is doing; null: unknown, or gone. Absent: unknown. */
  activity?(): Promise<ProcessActivity | null>;
  onStuck(reason: string): void;
  /** ms of a monotonic clock. */
  now?(): number;
}

/** Tells an engine that hangs from one that has much to do. */
export interface HeadWatch extends Disposable {
  /** Looks at the clock and asks; called by its own timer. */
  look(): void;
}

/** What is known of a silent engine. */
export interface Silence {
  /** Since its last answer, ms. */
  readonly silentMs: number;
  /** Since it last computed or wanted to, ms; null: this system does not tell. */
  readonly lifelessMs: number | null;
  /** Processor time it took since its last answer, ms. */
  readonly cpuMs: number;
  readonly stopped: boolean;
}

/**
 * Why an engine that does not answer is stuck, or null while it may only be starved. Stopped or asleep all the while, it is after
 * 20 s; one that wants to compute and gets less than half a processor is given two minutes.
 */
export function stuckReason({ silentMs, lifelessMs, cpuMs, stopped }: Silence): string | null {
  if (silentMs < SILENCE_MS_MAX) return null;
  const silent = `it has answered nothing for ${seconds(silentMs)}`;
  if (lifelessMs === null) return silent;
  if (stopped) return `${silent}: its process was stopped`;
  if (lifelessMs >= LIFELESS_MS) return `${silent} and does nothing`;
  if (cpuMs >= UNSTARVED_SHARE * silentMs) return `${silent}, though it had ${seconds(cpuMs)} of processor time`;
  return silentMs < STARVED_MS_MAX ? null : `${silent}; it had ${seconds(cpuMs)} of processor time meanwhile`;
}

export function watchHead({ ask, activity, onStuck, now = () => performance.now() }: HeadWatchOptions): HeadWatch {
  let answeredMs = now();
  let lookedMs = answeredMs;
  let asking = false;
  let looking = false;
  let over = false;
  /** When it last was seen to compute, or to want to. */
  let livelyMs = answeredMs;
  let seen: ProcessActivity | null = null;
  /** Processor time it had taken when it was first looked at in this silence. */
  let cpuBeforeMs: number | null = null;

  function end(): void {
    over = true;
    clearInterval(timer);
  }

  async function askOnce(): Promise<void> {
    asking = true;
    const answers = await ask(AbortSignal.timeout(ASK_MS_MAX)).catch(() => false);
    asking = false;
    if (!answers) return;
    answeredMs = now();
    livelyMs = answeredMs;
    [seen, cpuBeforeMs] = [null, null];
  }

  /** Looks at the process of an engine that is silent, and judges it by what it did since the look before. */
  async function lookAtProcess(): Promise<void> {
    looking = true;
    const before = answeredMs;
    const next = (await activity?.().catch(() => null)) ?? null;
    looking = false;
    // It answered meanwhile: what was seen belongs to a silence that is over.
    if (over || answeredMs !== before) return;
    const nowMs = now();
    if (next !== null && !next.stopped && (next.runnable || (seen !== null && next.cpuMs >= seen.cpuMs + LIVELY_CPU_MS)))
      livelyMs = nowMs;
    seen = next;
    cpuBeforeMs ??= next?.cpuMs ?? null;
    const silence: Silence = {
      silentMs: nowMs - answeredMs,
      lifelessMs: next === null ? null : nowMs - livelyMs,
      cpuMs: (next?.cpuMs ?? 0) - (cpuBeforeMs ?? 0),
      stopped: next?.stopped ?? false,
    };
    const reason = stuckReason(silence);
    if (reason === null) return;
    end();
    onStuck(reason);
  }

  function look(): void {
    const nowMs = now();
    const delayMs = nowMs - lookedMs - ASK_EVERY_MS;
    lookedMs = nowMs;
    if (over) return;
    // Doubt ourselves first.
    if (delayMs > OWN_DELAY_MS) {
      answeredMs += delayMs;
      livelyMs += delayMs;
    }
    // The first look of a silence is taken early, so that there is something to compare with.
    if (nowMs - answeredMs >= 2 * ASK_EVERY_MS && !looking) void lookAtProcess();
    if (!asking) void askOnce();
  }

  const timer = setInterval(look, ASK_EVERY_MS);
  timer.unref();
  return { look, [Symbol.dispose]: end };
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** Whether the llama-server on that port of this machine answers for its health. */
export async function isHealthy(port: number, signal: AbortSignal): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/health`, { signal });
  await response.arrayBuffer();
  return response.ok;
}
