import { createHash } from "node:crypto";
import {
  ClusterdError,
  SETTINGS_LENGTH_MAX,
  SETTINGS_MAX,
  SETTINGS_REMOVED_MAX,
  type NodeId,
  type SettingEntry,
  type SettingsMessage,
} from "@clusterd/wire";

/** What a node knows of the cluster's settings: a state-based CRDT. `merged` is its join: commutative, associative, idempotent. */
export interface Settings {
  /** Removals up to this version may be forgotten: of entries up to it, only those held here (or where the floor is as high) are true. */
  readonly floor: number;
  readonly entries: ReadonlyMap<string, SettingEntry>;
}

export const NO_SETTINGS: Settings = { floor: 0, entries: new Map() };

export function settingsOf({ floor, entries }: SettingsMessage): Settings {
  const byKey = new Map<string, SettingEntry>();
  for (const entry of entries) byKey.set(entry.key, newer(byKey.get(entry.key), entry));
  return { floor, entries: byKey };
}

/** The later of two entries of a key: by version, then node; the rest decides only where a node has been copied with its identity. */
function newer(a: SettingEntry | undefined, b: SettingEntry): SettingEntry {
  if (a === undefined) return b;
  if (a.version !== b.version) return a.version > b.version ? a : b;
  if (a.node !== b.node) return a.node > b.node ? a : b;
  // A removal wins: what is in doubt is not in force.
  if (a.json === null || b.json === null) return a.json === null ? a : b;
  return a.json >= b.json ? a : b;
}

/** What two nodes know together. An entry up to the higher floor counts only where the side with that floor holds it. */
export function merged(a: Settings, b: Settings): Settings {
  const floor = Math.max(a.floor, b.floor);
  const entries = new Map<string, SettingEntry>();
  for (const side of [a, b]) {
    for (const [key, entry] of side.entries)
      if (side.floor === floor || entry.version > floor) entries.set(key, newer(entries.get(key), entry));
  }
  return { floor, entries };
}

/** With one key set (or removed, where `json` is null) by a node that knows `settings`. Throws `invalid_request` where there is no room. */
export function withSetting(settings: Settings, key: string, json: string | null, node: NodeId): Settings {
  const version = lastVersion(settings) + 1;
  if (!Number.isSafeInteger(version)) throw new ClusterdError("failed", "The cluster's settings can be changed no further.");
  const entries = new Map(settings.entries).set(key, { key, json, version, node });
  const next = forgetful({ floor: settings.floor, entries });
  if (json === null) return next;
  const live = [...entries.values()].filter((entry) => entry.json !== null);
  if (live.length > SETTINGS_MAX)
    throw new ClusterdError("invalid_request", `A cluster keeps at most ${SETTINGS_MAX} settings (API keys, aliases).`, {
      next: "Remove one that is not needed any more.",
    });
  if (lengthOf(entries.values()) > SETTINGS_LENGTH_MAX)
    throw new ClusterdError("invalid_request", `A cluster's settings hold at most ${SETTINGS_LENGTH_MAX} characters.`);
  return next;
}

/** Whether what a member knows is more than any well-behaved cluster could have come to. */
export function isOverfull({ entries }: Settings): boolean {
  return entries.size > 2 * (SETTINGS_MAX + SETTINGS_REMOVED_MAX) || lengthOf(entries.values()) > 2 * SETTINGS_LENGTH_MAX;
}

/** Without the oldest removals beyond the limit. The floor rises over them, so that what they removed does not come back. */
function forgetful({ floor, entries }: Settings): Settings {
  const removed = [...entries.values()].filter(({ json }) => json === null).sort((a, b) => a.version - b.version);
  const forgotten = removed.slice(0, Math.max(0, removed.length - SETTINGS_REMOVED_MAX));
  if (forgotten.length === 0) return { floor, entries };
  const kept = new Map(entries);
  for (const { key } of forgotten) kept.delete(key);
  return { floor: Math.max(floor, forgotten.at(-1)?.version ?? 0), entries: kept };
}

function lastVersion({ floor, entries }: Settings): number {
  return [...entries.values()].reduce((last, { version }) => Math.max(last, version), floor);
}

function lengthOf(entries: Iterable<SettingEntry>): number {
  let length = 0;
  for (const { key, json } of entries) length += key.length + (json?.length ?? 0);
  return length;
}

/** The entries of `after` that `before` does not hold as they are, and the keys that are only in `before`. */
export function changedKeys(before: Settings, after: Settings): readonly string[] {
  const keys = new Set([...before.entries.keys(), ...after.entries.keys()]);
  return [...keys].filter((key) => !sameEntry(before.entries.get(key), after.entries.get(key)));
}

export function sameEntry(a: SettingEntry | undefined, b: SettingEntry | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.version === b.version && a.node === b.node && a.json === b.json;
}

/** Equal exactly where two nodes know the same. */
export function digestOf({ floor, entries }: Settings): string {
  const sorted = [...entries.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  const hash = createHash("sha256").update(JSON.stringify([floor, sorted.map((e) => [e.key, e.json, e.version, e.node])]));
  return hash.digest("base64url").slice(0, 22);
}
