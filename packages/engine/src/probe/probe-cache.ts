import { readFile, rename, writeFile } from "node:fs/promises";
import type { ProbedSpeed } from "./run-probe.ts";

/** Probes of other machines' halves, quotas and engines that are kept, newest first. */
const ENTRIES_MAX = 64;
/** A machine changes: memory is added, a driver is renewed. */
const AGE_MS_MAX: number = 30 * 24 * 3_600_000;

/** What is kept of a device's speed. */
export interface KeptSpeed extends ProbedSpeed {
  /** A second measurement, at another time, has been made. */
  readonly confirmed: boolean;
}

interface Entry extends KeptSpeed {
  readonly key: string;
  readonly atMs: number;
}

function isEntry(value: unknown): value is Entry {
  const entry = value as Partial<Record<keyof Entry, unknown>> | null;
  return (
    typeof entry === "object" &&
    entry !== null &&
    typeof entry.key === "string" &&
    typeof entry.confirmed === "boolean" &&
    [entry.atMs, entry.bytesPerSecond, entry.flopsPerSecond].every((figure) => typeof figure === "number" && figure > 0)
  );
}

/** A file of probes' results. What cannot be read counts as not there. */
async function entries(file: string): Promise<readonly Entry[]> {
  try {
    const kept: unknown = JSON.parse(await readFile(file, "utf8"));
    return Array.isArray(kept) ? kept.filter(isEntry) : [];
  } catch {
    return [];
  }
}

/** What was found for `key`, unless that is too long ago; null: not known. `nowMs` since 1970. */
export async function keptProbe(file: string, key: string, nowMs: number): Promise<KeptSpeed | null> {
  const found = (await entries(file)).find((entry) => entry.key === key && Math.abs(nowMs - entry.atMs) <= AGE_MS_MAX);
  if (found === undefined) return null;
  const { bytesPerSecond, flopsPerSecond, confirmed } = found;
  return { bytesPerSecond, flopsPerSecond, confirmed };
}

/** Keeps it. The caller holds the lock that all writers take. */
export async function keepProbe(file: string, key: string, speed: KeptSpeed, nowMs: number): Promise<void> {
  const others = (await entries(file)).filter((entry) => entry.key !== key);
  const all = [{ key, atMs: nowMs, ...speed }, ...others].toSorted((a, b) => b.atMs - a.atMs).slice(0, ENTRIES_MAX);
  const fresh = `${file}.${process.pid}`;
  await writeFile(fresh, `${JSON.stringify(all)}\n`);
  await rename(fresh, file);
}
