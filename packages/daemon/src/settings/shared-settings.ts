import { ClusterdError, settingJson, settingKey, type NodeId, type SettingEntry, type SettingsMessage } from "@clusterd/wire";
import { changedKeys, digestOf, isOverfull, merged, NO_SETTINGS, settingsOf, withSetting } from "./merge-settings.ts";
import { writeSettings, type KeptSettings } from "./settings-file.ts";

/**
 * Settings of the whole cluster, e.g. API keys and aliases: whatever one member sets, all members know within a second, and those
 * who join or come back later as soon as they are there. Of two changes to a key the one made later wins.
 */
export interface SharedSettings {
  get(key: string): unknown;
  /** Keys that begin with `prefix`, with their values. */
  entries(prefix: string): readonly (readonly [string, unknown])[];
  /**
   * Sets a key to plain JSON, or removes it (null). In force here when the call returns; the promise: when it is on disk. Throws
   * `not_admitted` outside a cluster, `invalid_request` where the value is too large or there are too many.
   */
  set(key: string, value: unknown): Promise<void>;
  /** Calls back with the keys that have changed, set here or told by a member; returns what ends that. */
  subscribe(listener: (keys: readonly string[], by: "here" | "member") => void): () => void;
}

/** The same as the mesh uses it. Disposed of once all is on disk. */
export interface ReplicatedSettings extends SharedSettings, AsyncDisposable {
  /** Equal exactly where two nodes know the same. */
  readonly digest: string;
  message(): SettingsMessage;
  /** Only the entries of some keys. */
  messageOf(keys: readonly string[]): SettingsMessage;
  /** Takes in what a member knows. Throws `invalid_request` where that is more than there can be. */
  merge(message: SettingsMessage): void;
  /** Settings belong to a cluster: those of another are left behind. */
  enter(cluster: string): void;
}

export interface SettingsConfig {
  readonly self: NodeId;
  readonly path: string;
  readonly kept: KeptSettings;
  warn(message: string): void;
}

export function createSettings({ self, path, kept, warn }: SettingsConfig): ReplicatedSettings {
  let { cluster, settings } = kept;
  let digest = digestOf(settings);
  let writing: Promise<void> = Promise.resolve();
  let unwritten = false;
  const listeners = new Set<Parameters<SharedSettings["subscribe"]>[0]>();

  /** One write at a time; what changes during one is in the next. */
  function save(): Promise<void> {
    if (unwritten) return writing;
    unwritten = true;
    writing = writing
      .catch(() => undefined)
      .then(() => {
        unwritten = false;
        return writeSettings(path, { cluster, settings });
      });
    writing.catch((error: unknown) => warn(`the settings could not be kept in ${path}: ${String(error)}`));
    return writing;
  }

  function become(next: typeof settings, by: "here" | "member"): Promise<void> {
    const keys = changedKeys(settings, next);
    if (keys.length === 0 && next.floor === settings.floor) return Promise.resolve();
    settings = next;
    digest = digestOf(settings);
    const saved = save();
    for (const listener of [...listeners]) listener(keys, by);
    return saved;
  }

  const value = (entry: SettingEntry | undefined): unknown =>
    entry === undefined || entry.json === null ? null : (JSON.parse(entry.json) as unknown);

  return {
    get: (key) => value(settings.entries.get(key)),
    entries: (prefix) =>
      [...settings.entries.values()]
        .filter(({ key, json }) => json !== null && key.startsWith(prefix))
        .sort((a, b) => (a.key < b.key ? -1 : 1))
        .map((entry) => [entry.key, value(entry)] as const),
    // Async: a refusal is a rejection; but all up to the write happens before this returns.
    async set(key, next) {
      if (cluster === null) throw new ClusterdError("not_admitted", "This node is not in a cluster yet.");
      const json = next === null ? null : settingJson(JSON.stringify(next) ?? "", `the value of ${key}`);
      await become(withSetting(settings, settingKey(key, "key"), json, self), "here");
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    get digest() {
      return digest;
    },
    message: () => ({ floor: settings.floor, entries: [...settings.entries.values()] }),
    messageOf: (keys) => ({
      // A part must not claim to be all there is below a floor.
      floor: 0,
      entries: keys.flatMap((key) => settings.entries.get(key) ?? []),
    }),
    merge(message) {
      const next = merged(settings, settingsOf(message));
      if (isOverfull(next)) throw new ClusterdError("invalid_request", "More settings than a cluster may have were refused.");
      void become(next, "member");
    },
    enter(next) {
      if (cluster === next) return;
      const foreign = cluster !== null;
      cluster = next;
      if (foreign) void become(NO_SETTINGS, "member");
      void save();
    },
    async [Symbol.asyncDispose]() {
      await writing.catch(() => undefined);
    },
  };
}
