const WINDOW_MS = 5_000;
const SAMPLES_MAX = 64;

/** How fast bytes came over the last seconds. */
export interface PullRate {
  /** Bytes that have come in all, at a monotonic time. */
  sample(doneBytes: number, nowMs: number): void;
  readonly bytesPerSecond: number;
}

export function createPullRate(): PullRate {
  let samples: { readonly doneBytes: number; readonly nowMs: number }[] = [];
  return {
    sample(doneBytes, nowMs) {
      const last = samples.at(-1);
      // Fetched again from the start, or samples that come too close.
      if (last !== undefined && doneBytes < last.doneBytes) samples = [];
      else if (last !== undefined && nowMs - last.nowMs < WINDOW_MS / SAMPLES_MAX) return;
      samples = [...samples.filter((one) => nowMs - one.nowMs <= WINDOW_MS), { doneBytes, nowMs }].slice(-SAMPLES_MAX);
    },
    get bytesPerSecond() {
      const [first, last] = [samples[0], samples.at(-1)];
      if (first === undefined || last === undefined || last.nowMs <= first.nowMs) return 0;
      return ((last.doneBytes - first.doneBytes) / (last.nowMs - first.nowMs)) * 1000;
    },
  };
}
