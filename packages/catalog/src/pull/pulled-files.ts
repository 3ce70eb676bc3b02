import { lstat, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

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
}

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
    return Array.isArray(list) ? list.filter(isPulledFile).slice(0, FILES_MAX) : [];
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

const isSameFile = (a: PulledFile, b: PulledFile): boolean => a.path === b.path && folderOf(a) === folderOf(b);

/** Writes down a file that is whole and verified, in place of what was known under its path. */
export function recordPulled(repository: string, file: PulledFile): Promise<void> {
  return changePulled(repository, (files) => [...files.filter((each) => !isSameFile(each, file)), file]);
}

/** From now on a revision means the model in this folder, and no other of its quantisation. */
export function assignRevision(
  repository: string,
  model: { readonly quantisation: string; readonly folder: string },
  revision: string,
): Promise<void> {
  return changePulled(repository, (files) =>
    files.map((file) => {
      if (file.quantisation !== model.quantisation) return file;
      const others = revisionsOf(file).filter((each) => each !== revision);
      const revisions = folderOf(file) === model.folder ? [...others, revision].slice(-REVISIONS_MAX) : others;
      return { ...file, revisions };
    }),
  );
}

async function writeRecord(repository: string, files: readonly PulledFile[]): Promise<void> {
  const temporary = join(repository, `${RECORD}.tmp`);
  await writeFile(temporary, `${JSON.stringify(files, null, 2)}\n`);
  await rename(temporary, join(repository, RECORD));
}

function isPulledFile(value: unknown): value is PulledFile {
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
