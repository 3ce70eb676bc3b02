const WINDOW_MS = 60_000;

/** The requests of one key in the latest minute. */
export interface RequestWindow {
  /** Counts a request, or tells after how many seconds there is room for one. Times are monotonic milliseconds. */
  take(max: number, nowMs: number): number | null;
}

/** Exactly `max` requests in any 60 s: the times of the latest ones are kept, no more than `max` of them. */
export function createRequestWindow(): RequestWindow {
  let times: number[] = [];
  return {
    take(max, nowMs) {
      times = times.filter((time) => time > nowMs - WINDOW_MS);
      const oldest = times.at(-max);
      if (times.length >= max && oldest !== undefined) return Math.max(1, Math.ceil((oldest + WINDOW_MS - nowMs) / 1000));
      times.push(nowMs);
      return null;
    },
  };
}
