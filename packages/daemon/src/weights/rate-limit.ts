import { setTimeout as pause } from "node:timers/promises";

/** How long a bucket may fill while nobody takes from it: what then comes at once. Milliseconds. */
const BURST_MS = 100;
/** How much is sent at a time under a limit: so that many who share it all get something now and then. */
const SLICE_MS = 50;
const SLICE_BYTES_MIN: number = 4 * 1024;
const SLICE_BYTES_MAX: number = 256 * 1024;

/** So many bytes per second and no more, over all who take from it, in the order in which they ask. */
export interface RateLimit {
  /** Bytes per second; null: without a limit. */
  readonly bytesPerSecond: number | null;
  /** What to send at a time. */
  readonly sliceBytes: number;
  /** Settles when so many bytes may go; throws where the signal fires before. */
  take(bytes: number, signal: AbortSignal): Promise<void>;
}

export interface Clock {
  nowMs(): number;
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

const CLOCK: Clock = {
  nowMs: () => performance.now(),
  wait: (ms, signal) => pause(ms, undefined, { signal }),
};

/**
 * A token bucket. What is larger than the bucket is let through once all before it is paid for: the bucket is then below empty, and the
 * next one waits the longer, so that over time the rate holds whatever the sizes.
 */
export function createRateLimit(bytesPerSecond: number | null, clock: Clock = CLOCK): RateLimit {
  if (bytesPerSecond === null)
    return { bytesPerSecond, sliceBytes: SLICE_BYTES_MAX, take: async (_, signal) => signal.throwIfAborted() };
  const rate = bytesPerSecond;
  const burst = (rate * BURST_MS) / 1000;
  let tokens = burst;
  let atMs = clock.nowMs();
  let turn: Promise<void> = Promise.resolve();

  function fill(): void {
    const nowMs = clock.nowMs();
    tokens = Math.min(burst, tokens + ((nowMs - atMs) / 1000) * rate);
    atMs = nowMs;
  }
  async function takeNow(bytes: number, signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      fill();
      if (tokens >= 0) break;
      await clock.wait(Math.max(1, (-tokens / rate) * 1000), signal);
    }
    tokens -= bytes;
  }
  return {
    bytesPerSecond,
    sliceBytes: Math.max(SLICE_BYTES_MIN, Math.min(SLICE_BYTES_MAX, Math.round((rate * SLICE_MS) / 1000))),
    take(bytes, signal) {
      const mine = turn.then(() => takeNow(bytes, signal));
      // Who leaves the queue holds up nobody.
      turn = mine.catch(() => undefined);
      return mine;
    },
  };
}
