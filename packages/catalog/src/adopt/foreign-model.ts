import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";

/** Tools whose model folders are read, and never written. */
export type ForeignSource = "huggingface" | "llama.cpp" | "ollama" | "lmstudio";

/** A model that another tool has put on this disk. */
export interface ForeignModel {
  readonly source: ForeignSource;
  /** As its tool, or its hub, names it. */
  readonly id: string;
  /** Further names of the same files. */
  readonly aliases?: readonly string[];
  /** Of the first part. */
  readonly path: string;
  /** SHA-256 of all its bytes, hex, where its tool keeps files by that; of several parts all of them, one after the other. */
  readonly sha256?: string;
  /** Its projector, where it does not lie beside it under a name that says so. */
  readonly projectorPath?: string;
}

/** Where to look: the user's home folder and environment. */
export interface ForeignPlaces {
  readonly homeDir: string;
  readonly platform: NodeJS.Platform;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Told of every folder and small file that was read: while none of them changes, there is nothing new. */
  readonly onLooked?: (path: string) => void;
}

/** Models taken over from one tool. */
export const FOREIGN_MODELS_MAX = 512;
const ENTRIES_MAX = 10_000;
/** A manifest, a ref, a tool's settings. */
const SMALL_FILE_BYTES_MAX = 1024 * 1024;

/** Names in a folder, in order; none where it is not there or may not be read. */
export async function namesIn({ onLooked }: ForeignPlaces, folder: string): Promise<readonly string[]> {
  onLooked?.(folder);
  return (await readdir(folder).catch(() => [])).toSorted((a, b) => (a < b ? -1 : 1)).slice(0, ENTRIES_MAX);
}

/** A small file's text; empty where it is none, is too large or may not be read. */
export async function smallFile({ onLooked }: ForeignPlaces, path: string): Promise<string> {
  onLooked?.(path);
  const found = await stat(path).catch(() => null);
  // A pipe would be waited for.
  if (found === null || !found.isFile() || found.size > SMALL_FILE_BYTES_MAX) return "";
  return readFile(path, "utf8").catch(() => "");
}

export async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** Whether there is a file, a link's own lead to one included. */
export async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

/** Where a file really is, as long as that is below a folder; null where it is elsewhere, or nowhere. */
export async function realFileIn(folder: string, path: string): Promise<string | null> {
  const [root, real] = await Promise.all([folder, path].map((each) => realpath(each).catch(() => null)));
  return root != null && real != null && real.startsWith(root + sep) && (await isFile(real)) ? real : null;
}

/** GGUF files below a folder, as paths from it with slashes, down to `depth` folders. */
export async function ggufFilesIn(places: ForeignPlaces, folder: string, depth: number): Promise<readonly string[]> {
  const found: string[] = [];
  for (const name of await namesIn(places, folder)) {
    if (/\.gguf$/iu.test(name)) {
      if (await isFile(join(folder, name))) found.push(name);
    } else if (depth > 0 && (await isFolder(join(folder, name))))
      found.push(...(await ggufFilesIn(places, join(folder, name), depth - 1)).map((path) => `${name}/${path}`));
    if (found.length >= FOREIGN_MODELS_MAX) break;
  }
  return found;
}
