import { usageError } from "./usage-error.ts";

const UNIT_SECONDS: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3600, d: 86_400 };
/** A year: longer is `forever`. */
const SECONDS_MAX = 366 * 86_400;

/** Seconds of a duration like `90`, `45s`, `30m` or `1h30m`; null for `forever` and anything below zero. Throws a usage error. */
export function durationSeconds(given: string, flag: string): number | null {
  const text = given.trim().toLowerCase();
  if (text === "forever" || /^-\d+[smhd]?$/.test(text)) return null;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)([smhd]?)/g)];
  const whole = parts.map(([part]) => part).join("");
  const seconds = parts.reduce((sum, [, count, unit]) => sum + Number(count) * (UNIT_SECONDS[unit ?? ""] ?? NaN), 0);
  // A bare number is one of seconds, and stands alone.
  const bare = parts.some(([, , unit]) => unit === "") && parts.length > 1;
  if (parts.length === 0 || whole !== text || bare || !(seconds <= SECONDS_MAX))
    throw usageError(`${flag} takes a duration like 30m, 1h30m or 90s, 0, or forever; it was given "${given}".`);
  return seconds;
}
