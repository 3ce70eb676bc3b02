import type { CacheCounts } from "../cache/answer-cache.ts";
import { family } from "./exposition.ts";

/** What the answers that are kept save and take; nothing where none are kept. */
export function cacheFamilies(counts: CacheCounts | null): readonly string[] {
  if (counts === null) return [];
  const { hits, misses, entries, bytes, bytesMax } = counts;
  return [
    family("clusterd_cache_hits_total", "counter", "Requests that were given a kept answer.", [{ value: hits }]),
    family("clusterd_cache_misses_total", "counter", "Requests that could have been, had it been kept.", [{ value: misses }]),
    family("clusterd_cache_entries", "gauge", "Answers that are kept.", [{ value: entries }]),
    family("clusterd_cache_bytes", "gauge", "Bytes that kept answers take.", [{ value: bytes }]),
    family("clusterd_cache_limit_bytes", "gauge", "Bytes that kept answers may take.", [{ value: bytesMax }]),
  ];
}
