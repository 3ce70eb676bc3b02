import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { readIfPresent, writePrivateFile } from "../home/private-file.ts";

/** Machines, engines and thread counts one home has decoded with. */
const ENTRIES_MAX = 32;
/** What was learned while the machine was busy, or before it was changed, does not keep it from being used for ever. */
const AGE_MS_MAX: number = 30 * 24 * 3_600_000;

interface Entry {
  readonly key: string;
  readonly bytesPerSecond: number;
  readonly atMs: number;
}

function isEntry(value: unknown): value is Entry {
  const entry = value as Partial<Record<keyof Entry, unknown>> | null;
  return (
    typeof entry === "object" &&
    entry !== null &&
    typeof entry.key === "string" &&
    typeof entry.atMs === "number" &&
    typeof entry.bytesPerSecond === "number" &&
    entry.bytesPerSecond > 0
  );
}

async function entries(file: string): Promise<readonly Entry[]> {
  try {
    const kept: unknown = JSON.parse((await readIfPresent(file)) ?? "[]");
    return Array.isArray(kept) ? kept.filter(isEntry) : [];
  } catch {
    // A broken file is one that was never written: decoding tells it all again.
    return [];
  }
}

/** The bandwidth that decoding has shown under this key, bytes per second, or null. `nowMs` since 1970. */
export async function keptBandwidth(file: string, key: string, nowMs: number): Promise<number | null> {
  const found = (await entries(file)).find((entry) => entry.key === key && Math.abs(nowMs - entry.atMs) <= AGE_MS_MAX);
  return found?.bytesPerSecond ?? null;
}

/** What was kept under keys that begin so, the latest first: the rest of each key, and bytes per second. */
export async function keptKinds(
  file: string,
  prefix: string,
  nowMs: number,
): Promise<readonly { readonly kind: string; readonly bytesPerSecond: number }[]> {
  return (await entries(file))
    .filter(({ key, atMs }) => key.startsWith(prefix) && Math.abs(nowMs - atMs) <= AGE_MS_MAX)
    .map(({ key, bytesPerSecond }) => ({ kind: key.slice(prefix.length), bytesPerSecond }));
}

/** Keeps it for the next start, the latest first. Only the home's one daemon writes here. */
export async function keepBandwidth(file: string, key: string, bytesPerSecond: number, nowMs: number): Promise<void> {
  const others = (await entries(file)).filter((entry) => entry.key !== key);
  await mkdir(dirname(file), { recursive: true });
  await writePrivateFile(file, `${JSON.stringify([{ key, bytesPerSecond, atMs: nowMs }, ...others].slice(0, ENTRIES_MAX))}\n`);
}
