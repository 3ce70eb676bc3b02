import { invalidField } from "../field-rules.ts";

const UNIT_SECONDS: Readonly<Record<string, number>> = { ns: 1e-9, us: 1e-6, µs: 1e-6, ms: 1e-3, s: 1, m: 60, h: 3600 };
const DURATION = /^(-?)((?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+)$/;
const PART = /(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g;
const SECONDS_MAX = 10 * 365 * 86_400;

/** Seconds of Ollama's `keep_alive`: a number of them, or a duration such as `5m` or `1h30m`. Negative: null, for ever. Absent: undefined. */
export function keepAliveOf(value: unknown): number | null | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  const seconds = typeof value === "number" ? value : durationSeconds(value);
  if (seconds === null || !Number.isFinite(seconds)) {
    throw invalidField("keep_alive", "must be a number of seconds, or a duration such as 5m or 1h30m");
  }
  return seconds < 0 ? null : Math.min(SECONDS_MAX, seconds);
}

function durationSeconds(value: unknown): number | null {
  if (typeof value !== "string" || value.length > 64) return null;
  if (/^-?\d{1,12}$/.test(value)) return Number(value);
  const [, sign, parts] = DURATION.exec(value.trim()) ?? [];
  if (parts === undefined) return null;
  let seconds = 0;
  for (const [, count, unit = ""] of parts.matchAll(PART)) seconds += Number(count) * (UNIT_SECONDS[unit] ?? 0);
  return sign === "-" ? -seconds : seconds;
}
