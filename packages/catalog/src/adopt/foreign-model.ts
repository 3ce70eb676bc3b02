import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";

/** Tools whose model folders are read, and never written. */
export type ForeignSource = "huggingface" | "llama.cpp" | "ollama" | "lmstudio";

/** A model that another tool has put on this disk. */
export interface ForeignModel {
  readonly source: ForeignSource;
  /** As its tool, or its hub, names it. */
  readonly id: string;
  /** Of the first part. */
  readonly path: string;
}

/** Where to look: the user's home folder and environment. */
export interface ForeignPlaces {
  readonly homeDir: string;
  readonly platform: NodeJS.Platform;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Models taken over from one tool. */
export const FOREIGN_MODELS_MAX = 512;
const ENTRIES_MAX = 10_000;

/** Names in a folder, in order; none where it is not there or may not be read. */
export async function namesIn(folder: string): Promise<readonly string[]> {
  return (await readdir(folder).catch(() => [])).toSorted((a, b) => (a < b ? -1 : 1)).slice(0, ENTRIES_MAX);
}

export async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

export async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

/** GGUF files below a folder, as paths from it with slashes, down to `depth` folders. */
export async function ggufFilesIn(folder: string, depth: number): Promise<readonly string[]> {
  const found: string[] = [];
  for (const name of await namesIn(folder)) {
    if (/\.gguf$/iu.test(name)) {
      if (await isFile(join(folder, name))) found.push(name);
    } else if (depth > 0 && (await isFolder(join(folder, name))))
      found.push(...(await ggufFilesIn(join(folder, name), depth - 1)).map((path) => `${name}/${path}`));
    if (found.length >= FOREIGN_MODELS_MAX) break;
  }
  return found;
}
