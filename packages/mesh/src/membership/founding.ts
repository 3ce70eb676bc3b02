/** No cluster has answered for so long: this node founds one. */
export const FOUND_AFTER_MS = 1_500;
/** Somebody was seen meanwhile: what comes of it is awaited, but not longer than this in all. */
const FOUND_AFTER_MS_MAX = 8_000;

/** When a node that finds no cluster founds one. Times are of the monotonic clock, in milliseconds. */
export interface FoundingClock {
  /** Begins to wait, at least so long. */
  start(nowMs: number, waitMs?: number): void;
  /** Somebody is there: founding a cluster waits for what comes of it, up to the longest. */
  somebodyIsThere(nowMs: number): void;
  /** Whoever was met has no cluster either: waits once more, whatever the longest. */
  onceMore(nowMs: number): void;
  isDue(nowMs: number): boolean;
}

export function createFoundingClock(): FoundingClock {
  let dueMs = Infinity;
  let dueMsMax = Infinity;
  return {
    start(nowMs, waitMs = FOUND_AFTER_MS) {
      dueMs = nowMs + waitMs;
      dueMsMax = dueMs + FOUND_AFTER_MS_MAX - FOUND_AFTER_MS;
    },
    somebodyIsThere(nowMs) {
      dueMs = Math.min(dueMsMax, Math.max(dueMs, nowMs + FOUND_AFTER_MS));
    },
    onceMore(nowMs) {
      dueMs = Math.max(dueMs, nowMs + FOUND_AFTER_MS);
    },
    isDue: (nowMs) => nowMs >= dueMs,
  };
}
