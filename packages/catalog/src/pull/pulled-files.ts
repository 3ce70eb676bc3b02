import { lstat, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stampOf } from "../shards/file-stamp.ts";

/** Where a pulled file came from. */
export interface PulledFile {
  /** In the repository. */
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly commit: string;
  /** {@link BESIDE}: it is no model's own, but lies beside models: a projector. */
  readonly quantisation: string;
  /** Below the repository's folder; absent: that folder itself. Files of another commit than those there have a folder of their own. */
  readonly folder?: string;
  /** Branches, tags and commits that this file's model was last asked for by and is still what they mean here; absent: `main`. */
  readonly revisions?: readonly string[];
  /** When all of it was last read and was as it must be, ms since 1970; 0: nobody knows. */
  readonly readAtMs: number;
  /** What the system said of the file then (`stampOf`); null: nobody knows. */
  readonly stamp: string | null;
}

/** A file as it is written down: what the system says of it is looked up. */
export type FetchedFile = Omit<PulledFile, "readAtMs" | "stamp">;

/** In place of a quantisation, of a projector. */
export const BESIDE = "mmproj";
export const MAIN_REVISION = "main";

const RECORD = "pulled.json";
const RECORD_BYTES_MAX = 4 * 1024 * 1024;
const FILES_MAX = 10_000;
const REVISIONS_MAX = 64;

export const folderOf = ({ folder }: Pick<PulledFile, "folder">): string => folder ?? "";
export const revisionsOf = ({ revisions }: Pick<PulledFile, "revisions">): readonly string[] => revisions ?? [MAIN_REVISION];

/** What was pulled into a repository's folder; empty where nothing was, or its record is damaged. */
export async function pulledFiles(repository: string): Promise<readonly PulledFile[]> {
  try {
    const path = join(repository, RECORD);
    // A link, or something else in its place, is no record of ours.
    const found = await lstat(path);
    if (!found.isFile() || found.size > RECORD_BYTES_MAX) return [];
    const list = JSON.parse(await readFile(path, "utf8")) as unknown;
    return Array.isArray(list) ? list.filter(isPulledFile).slice(0, FILES_MAX).map(withReading) : [];
  } catch {
    return [];
  }
}

const changing = new Map<string, Promise<unknown>>();

/** Changes the record of a repository's folder, one change after the other: two models of one repository may come at once. */
export async function changePulled(
  repository: string,
  change: (files: readonly PulledFile[]) => readonly PulledFile[],
): Promise<void> {
  const before = changing.get(repository) ?? Promise.resolve();
  const now = before
    .catch(() => undefined)
    .then(async () => writeRecord(repository, change(await pulledFiles(repository)).slice(-FILES_MAX)));
  changing.set(repository, now);
  try {
    await now;
  } finally {
    if (changing.get(repository) === now) changing.delete(repository);
  }
}

const isSameFile = (a: FileName, b: FileName): boolean => a.path === b.path && folderOf(a) === folderOf(b);
type FileName = Pick<PulledFile, "path" | "folder">;

/** Writes down a file that is whole and was just verified, in place of what was known under its path. */
export async function recordPulled(repository: string, file: FetchedFile): Promise<void> {
  const stamp = await stampOf([join(repository, folderOf(file), ...file.path.split("/"))]);
  const read = { ...file, readAtMs: Date.now(), stamp };
  await changePulled(repository, (files) => [...files.filter((each) => !isSameFile(each, file)), read]);
}

/** Forgets files that are gone. */
export function forgetPulled(repository: string, gone: readonly FileName[]): Promise<void> {
  return changePulled(repository, (files) => files.filter((file) => !gone.some((each) => isSameFile(each, file))));
}

/** From now on a revision means the model in this folder, and no other of its quantisation. */
export function assignRevision(
  repository: string,
  model: { readonly quantisation: string; readonly folder: string },
  revision: string,
): Promise<void> {
  return changePulled(repository, (files) => {
    const isOwn = (file: PulledFile): boolean => file.quantisation === model.quantisation && folderOf(file) === model.folder;
    // What one part goes by all do.
    const own = [...new Set([...files.filter(isOwn).flatMap(revisionsOf), revision])].slice(-REVISIONS_MAX);
    return files.map((file) => {
      if (file.quantisation !== model.quantisation) return file;
      return { ...file, revisions: isOwn(file) ? own : revisionsOf(file).filter((each) => each !== revision) };
    });
  });
}

/** Records of before say nothing of when a file was read. */
function withReading(file: FetchedFile): PulledFile {
  const { readAtMs, stamp } = file as Partial<PulledFile>;
  return { ...file, readAtMs: typeof readAtMs === "number" ? readAtMs : 0, stamp: typeof stamp === "string" ? stamp : null };
}

async function writeRecord(repository: string, files: readonly PulledFile[]): Promise<void> {
  const temporary = join(repository, `${RECORD}.tmp`);
  await writeFile(temporary, `${JSON.stringify(files, null, 2)}\n`);
  await rename(temporary, join(repository, RECORD));
}

function isPulledFile(value: unknown): value is FetchedFile {
  const { path, bytes, sha256, commit, quantisation, folder, revisions } = (value ?? {}) as Readonly<Record<string, unknown>>;
  return (
    typeof path === "string" &&
    typeof bytes === "number" &&
    typeof sha256 === "string" &&
    typeof commit === "string" &&
    typeof quantisation === "string" &&
    (folder === undefined || folder === "" || (typeof folder === "string" && /^@[0-9a-f]{7,64}$/u.test(folder))) &&
    (revisions === undefined || (Array.isArray(revisions) && revisions.every((each) => typeof each === "string")))
  );
}
