import type { StageFetchView } from "@clusterd/wire";
import type { FetchRecord } from "./daemon-state.ts";

/** Over less than this a rate says nothing. */
const RATE_MS_MIN = 800;
/** What the latest stretch counts against those before it. */
const LATEST_SHARE = 0.4;

/** The record after word of how much is there at a monotonic time. Blocks come in bursts: the rate is smoothed. */
export function afterWord(
  record: FetchRecord | null,
  { doneBytes, totalBytes, atMs }: { readonly doneBytes: number; readonly totalBytes: number; readonly atMs: number },
): FetchRecord {
  // Of another attempt, or of other layers.
  if (record === null || record.totalBytes !== totalBytes || doneBytes < record.doneBytes)
    return { doneBytes, totalBytes, bytesPerSecond: null, since: { atMs, doneBytes } };
  const ms = atMs - record.since.atMs;
  if (ms < RATE_MS_MIN) return { ...record, doneBytes };
  const latest = ((doneBytes - record.since.doneBytes) / ms) * 1000;
  const before = record.bytesPerSecond;
  const bytesPerSecond = before === null ? latest : before * (1 - LATEST_SHARE) + latest * LATEST_SHARE;
  return { doneBytes, totalBytes, bytesPerSecond, since: { atMs, doneBytes } };
}

export function fetchView({ doneBytes, totalBytes, bytesPerSecond }: FetchRecord): StageFetchView {
  const left = totalBytes - doneBytes;
  const secondsLeft = left <= 0 ? 0 : bytesPerSecond === null || bytesPerSecond <= 0 ? null : left / bytesPerSecond;
  return { doneBytes, totalBytes, bytesPerSecond, secondsLeft };
}
