import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Where a pulled file came from. */
export interface PulledFile {
  /** In the repository. */
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly commit: string;
  readonly quantisation: string;
}

const RECORD = "pulled.json";
const RECORD_BYTES_MAX = 4 * 1024 * 1024;
const FILES_MAX = 10_000;

/** What was pulled into a repository's folder; empty where nothing was, or its record is damaged. */
export async function pulledFiles(folder: string): Promise<readonly PulledFile[]> {
  try {
    const text = await readFile(join(folder, RECORD), "utf8");
    const list = (text.length > RECORD_BYTES_MAX ? [] : JSON.parse(text)) as unknown;
    return Array.isArray(list) ? list.filter(isPulledFile).slice(0, FILES_MAX) : [];
  } catch {
    return [];
  }
}

/** Writes down a file that is whole and verified, in place of what was known under its path. */
export async function recordPulled(folder: string, file: PulledFile): Promise<void> {
  await writeRecord(folder, [...(await pulledFiles(folder)).filter(({ path }) => path !== file.path), file].slice(-FILES_MAX));
}

/** Forgets files that are gone. */
export async function forgetPulled(folder: string, paths: ReadonlySet<string>): Promise<void> {
  await writeRecord(
    folder,
    (await pulledFiles(folder)).filter(({ path }) => !paths.has(path)),
  );
}

async function writeRecord(folder: string, files: readonly PulledFile[]): Promise<void> {
  const temporary = join(folder, `${RECORD}.tmp`);
  await writeFile(temporary, `${JSON.stringify(files, null, 2)}\n`);
  await rename(temporary, join(folder, RECORD));
}

function isPulledFile(value: unknown): value is PulledFile {
  const { path, bytes, sha256, commit, quantisation } = (value ?? {}) as Readonly<Record<string, unknown>>;
  return (
    typeof path === "string" &&
    typeof bytes === "number" &&
    typeof sha256 === "string" &&
    typeof commit === "string" &&
    typeof quantisation === "string"
  );
}
