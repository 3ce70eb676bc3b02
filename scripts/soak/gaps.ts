/** Gaps of a minute and more count as one of a minute: nothing here grows with the run. */
const GAP_MS_MAX = 60_000;

/** Milliseconds between tokens, counted by the millisecond. */
export interface Gaps {
  add(ms: number): void;
  /** The gap that so many of all (0 to 1) are not longer than; NaN: none yet. */
  quantile(share: number): number;
  readonly count: number;
  readonly sumMs: number;
  readonly mostMs: number;
}

export function createGaps(): Gaps {
  const counts = new Uint32Array(GAP_MS_MAX + 1);
  let [count, sumMs, mostMs] = [0, 0, 0];
  return {
    add(ms) {
      const slot = Math.min(GAP_MS_MAX, Math.round(ms));
      counts[slot] = (counts[slot] ?? 0) + 1;
      count += 1;
      sumMs += ms;
      mostMs = Math.max(mostMs, ms);
    },
    quantile(share) {
      if (count === 0) return Number.NaN;
      let left = share * count;
      const slot = counts.findIndex((each) => (left -= each) <= 0);
      return slot === -1 ? GAP_MS_MAX : slot;
    },
    get count() {
      return count;
    },
    get sumMs() {
      return sumMs;
    },
    get mostMs() {
      return mostMs;
    },
  };
}
