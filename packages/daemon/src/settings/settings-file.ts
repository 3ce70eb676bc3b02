import { count, record, SETTINGS_LENGTH_MAX, settingEntries, text } from "@clusterd/wire";
import { readFile, stat } from "node:fs/promises";
import { writePrivateFile } from "../home/private-file.ts";
import { NO_SETTINGS, settingsOf, type Settings } from "./merge-settings.ts";

/** A file beyond this was not written here. */
const FILE_BYTES_MAX: number = 16 * SETTINGS_LENGTH_MAX;

/** The settings as they are kept: with the cluster they are of. */
export interface KeptSettings {
  readonly cluster: string | null;
  readonly settings: Settings;
}

const kept = record({
  cluster: (value, path) => (value === null ? null : text(128)(value, path)),
  floor: count(),
  entries: settingEntries,
});

/** What the home keeps. A file that cannot be read is told of and left behind: the members have the settings as well. */
export async function readSettings(path: string, warn: (message: string) => void): Promise<KeptSettings> {
  try {
    const { size } = await stat(path);
    if (size > FILE_BYTES_MAX) throw new Error(`it has ${size} bytes`);
    const { cluster, floor, entries } = kept(JSON.parse(await readFile(path, "utf8")), "settings");
    return { cluster, settings: settingsOf({ floor, entries }) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
      const reason = error instanceof Error ? error.message : String(error);
      warn(`the cluster's settings in ${path} are damaged and were left out (${reason}); other members still have them`);
    }
    return { cluster: null, settings: NO_SETTINGS };
  }
}

export async function writeSettings(path: string, { cluster, settings }: KeptSettings): Promise<void> {
  const { floor, entries } = settings;
  await writePrivateFile(path, `${JSON.stringify({ cluster, floor, entries: [...entries.values()] }, null, 1)}\n`);
}
