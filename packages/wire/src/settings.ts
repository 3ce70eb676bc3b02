import { cleanName, count, list, text, type Check } from "./check.ts";
import { ClusterdError } from "./errors.ts";
import type { NodeId } from "./ids.ts";

/** Settings that hold a value, and names of removed ones that are remembered; what a member sends may hold twice both together. */
export const SETTINGS_MAX = 512;
export const SETTINGS_REMOVED_MAX = 512;
/** All values of a cluster's settings together, in characters of JSON; members' may hold twice as much after a partition. */
export const SETTINGS_LENGTH_MAX: number = 512 * 1024;
const SETTING_KEY_LENGTH_MAX = 200;
const SETTING_VALUE_LENGTH_MAX = 4_096;

/** One setting of the whole cluster, as one node has set it last. */
export interface SettingEntry {
  readonly key: string;
  /** The value's JSON as `JSON.stringify` writes it; null: removed. */
  readonly json: string | null;
  /** One more than any version the setting node knew of, of any key. */
  readonly version: number;
  readonly node: NodeId;
}

/** All that a node knows of the settings. Of versions up to `floor`, only what is listed is true: removals among them are forgotten. */
export interface SettingsMessage {
  readonly floor: number;
  readonly entries: readonly SettingEntry[];
}

function wrong(path: string, wanted: string): ClusterdError {
  return new ClusterdError("invalid_request", `${path} must be ${wanted}.`, { param: path });
}

/** A setting's key. Characters that would not show are refused, not dropped: the key names something. */
export const settingKey: Check<string> = (value, path) => {
  const fits = typeof value === "string" && value.length > 0 && value.length <= SETTING_KEY_LENGTH_MAX;
  if (!fits || cleanName(value, SETTING_KEY_LENGTH_MAX) !== value)
    throw wrong(path, `1 to ${SETTING_KEY_LENGTH_MAX} characters, none of them a control character`);
  return value;
};

/** JSON exactly as `JSON.stringify` writes it, so that equal values have equal digests. */
export const settingJson: Check<string | null> = (value, path) => {
  if (value === null || value === undefined) return null;
  const what = `JSON of at most ${SETTING_VALUE_LENGTH_MAX} characters`;
  if (typeof value !== "string" || value.length > SETTING_VALUE_LENGTH_MAX) throw wrong(path, what);
  let written: string | undefined;
  try {
    written = JSON.stringify(JSON.parse(value));
  } catch {
    // Said below.
  }
  if (written !== value || value === "null") throw wrong(path, `${what}, as JSON.stringify writes it`);
  return value;
};

const node = text<NodeId>(128);

const entry: Check<SettingEntry> = (value, path) => {
  if (typeof value !== "object" || value === null) throw wrong(path, "an object");
  const given = value as Record<string, unknown>;
  return {
    key: settingKey(given["key"], `${path}.key`),
    json: settingJson(given["json"], `${path}.json`),
    version: count()(given["version"], `${path}.version`),
    node: node(given["node"], `${path}.node`),
  };
};

export const settingEntries: Check<readonly SettingEntry[]> = list(entry, 2 * (SETTINGS_MAX + SETTINGS_REMOVED_MAX));
