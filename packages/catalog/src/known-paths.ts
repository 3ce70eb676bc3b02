import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { KNOWN_PATHS_MAX } from "./limits.ts";

/** Models that were named by their paths, kept in the home's `models.json`. */
export interface KnownPaths {
  list(): readonly string[];
  remember(path: string): Promise<void>;
}

export async function openKnownPaths(home: string): Promise<KnownPaths> {
  const memory = join(home, "models.json");
  let known = await readKnown(memory);
  return {
    list: () => known,
    async remember(path) {
      if (known.includes(path)) return;
      known = [...known, path].slice(-KNOWN_PATHS_MAX);
      await mkdir(home, { recursive: true });
      const temporary = `${memory}.${randomUUID()}.tmp`;
      await writeFile(temporary, `${JSON.stringify(known, null, 2)}\n`, { mode: 0o600 });
      await rename(temporary, memory);
    },
  };
}

async function readKnown(file: string): Promise<readonly string[]> {
  try {
    const list = JSON.parse(await readFile(file, "utf8")) as unknown;
    return Array.isArray(list) ? list.filter((path): path is string => typeof path === "string").slice(0, KNOWN_PATHS_MAX) : [];
  } catch {
    // No memory, or a damaged one: the models folder is still listed.
    return [];
  }
}
