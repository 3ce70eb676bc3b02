/** Memory of a machine, in bytes. */
export interface Memory {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

/** Left to the machine itself: at least this much, or a tenth, but never more than a quarter of a small machine. */
export const RESERVE_BYTES_MIN: number = 1024 ** 3;
const RESERVE_SHARE = 0.1;
const RESERVE_SHARE_MAX = 0.25;

/** What models may occupy of `totalBytes`: all but a reserve, capped by a person's word. */
export function memoryBudget(totalBytes: number, capBytes: number | null): number {
  const reserve = Math.min(Math.max(RESERVE_BYTES_MIN, totalBytes * RESERVE_SHARE), totalBytes * RESERVE_SHARE_MAX);
  const budget = Math.floor(totalBytes - reserve);
  return capBytes === null ? budget : Math.min(budget, capBytes);
}

/** `/proc/meminfo`: available is what programs can get without swapping. */
export function parseMeminfo(text: string): Memory {
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0) * 1024;
  return { totalBytes: field("MemTotal"), freeBytes: field("MemAvailable") || field("MemFree") };
}

/** A control group's limit and use, where one is set. Version 1 says "no limit" by a number near 2^63, version 2 by `max`. */
export function withinGroup(memory: Memory, limit: string | null, used: string | null): Memory {
  const bytes = limit === null ? NaN : Number(limit.trim());
  if (!Number.isFinite(bytes) || bytes <= 0 || bytes >= memory.totalBytes) return memory;
  return { totalBytes: bytes, freeBytes: Math.max(0, Math.min(memory.freeBytes, bytes - (Number(used?.trim()) || 0))) };
}

/** `vm_stat` of macOS: free, inactive and purgeable pages can be had. */
export function parseVmStat(text: string): number {
  const page = Number(/page size of (\d+) bytes/.exec(text)?.[1] ?? 4096);
  const pages = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0);
  return (pages("Pages free") + pages("Pages inactive") + pages("Pages purgeable")) * page;
}
