import { createHash } from "node:crypto";
import { open, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { hubId } from "@clusterd/wire";
import { FOLDER_ENTRIES_MAX } from "../limits.ts";
import { TRUST_MS } from "../shards/block-trust.ts";
import { stampOf } from "../shards/file-stamp.ts";
import {
  assignRevision,
  BESIDE,
  folderOf,
  forgetPulled,
  MAIN_REVISION,
  pulledFiles,
  recordPulled,
  revisionsOf,
  type PulledFile,
} from "../pull/pulled-files.ts";
import { pulledFolders, placeOf } from "../pull/pulled-models.ts";

/** A model's files as they were pulled, by their record; or what several models of a repository share. */
export interface PulledCopy {
  /** `OWNER/REPO:QUANT`, with its revision where that is not `main`. */
  readonly id: string;
  readonly repo: string;
  /** False: it belongs to models of the repository, and goes with the last of them. */
  readonly isModel: boolean;
  /** A REF by which the same files are fetched again. */
  readonly ref: string;
  readonly folder: string;
  readonly files: readonly PulledCopyFile[];
}

export interface PulledCopyFile {
  /** On this disk. */
  readonly path: string;
  readonly record: PulledFile;
}

/** What a file that is not what it must be is renamed to: nothing of that ending is ever listed. */
export const QUARANTINED = ".quarantined";

/** Folders in a repository that are looked into. */
const FOLDER_DEPTH_MAX = 4;
/** Hashed at a time: it holds the event loop for half a millisecond. */
const READ_BYTES: number = 1024 * 1024;

/** All that was pulled, by its records. */
export async function pulledCopies(modelsDir: string): Promise<readonly PulledCopy[]> {
  const copies: PulledCopy[] = [];
  for (const { repo, folder } of await pulledFolders(modelsDir)) {
    const files = (await pulledFiles(folder)).flatMap((record) => {
      const path = placeOf(modelsDir, repo, record);
      return path === null ? [] : [{ path, record }];
    });
    // Two revisions of a model lie in two folders; a projector is fetched with any model beside it.
    for (const own of Map.groupBy(files, ({ record }) => `${folderOf(record)} ${record.quantisation}`).values()) {
      const [first] = own;
      if (first === undefined) continue;
      const { commit, quantisation } = first.record;
      const beside = files.find(({ record }) => folderOf(record) === folderOf(first.record) && record.quantisation !== BESIDE);
      const asked = quantisation === BESIDE ? (beside?.record.quantisation ?? quantisation) : quantisation;
      const revision = revisionsOf(first.record).includes(MAIN_REVISION) ? null : (revisionsOf(first.record)[0] ?? commit);
      const id = hubId(repo, quantisation, revision);
      copies.push({ id, repo, isModel: quantisation !== BESIDE, ref: `hf:${repo}:${asked}@${commit}`, folder, files: own });
    }
  }
  return copies;
}

/** Whether a file must be read again before it is used: it was never, someone has written to it since, or that is long ago. */
export async function isDoubtful({ path, record }: PulledCopyFile, nowMs: number): Promise<boolean> {
  const ageMs = nowMs - record.readAtMs;
  return record.stamp === null || ageMs > TRUST_MS || ageMs < 0 || (await stampOf([path])) !== record.stamp;
}

/** Reads a file and tells whether it is what was pulled; what can be read to its end is hashed with bounded memory, piece by piece. */
export async function readAgain(
  { folder }: Pick<PulledCopy, "folder">,
  { path, record }: PulledCopyFile,
  options: { readonly signal: AbortSignal; readonly onProgress: (doneBytes: number) => void },
): Promise<boolean> {
  const hash = createHash("sha256");
  let done = 0;
  try {
    await using handle = await open(path, "r");
    const window = Buffer.allocUnsafe(READ_BYTES);
    for (;;) {
      options.signal.throwIfAborted();
      const { bytesRead } = await handle.read(window, 0, READ_BYTES, done);
      if (bytesRead === 0) break;
      hash.update(window.subarray(0, bytesRead));
      options.onProgress((done += bytesRead));
    }
  } catch (error) {
    // A disk that cannot read it has it no more.
    if ((error as NodeJS.ErrnoException).code !== "EIO") throw error;
    return false;
  }
  if (done !== record.bytes || hash.digest("hex") !== record.sha256) return false;
  await recordPulled(folder, record);
  return true;
}

/** Puts a file aside under a name that nobody lists, and forgets that it was pulled; gives that name. */
export async function quarantine({ folder }: Pick<PulledCopy, "folder">, { path, record }: PulledCopyFile): Promise<string> {
  // The word first: a file that is gone must not be said to be there.
  await forgetPulled(folder, [record]);
  const aside = `${path}${QUARANTINED}`;
  await rename(path, aside);
  return aside;
}

/** Gives a file that was fetched again the names by which the one before it was known. */
export async function restoreNames({ folder }: Pick<PulledCopy, "folder">, before: PulledFile, now: PulledFile): Promise<void> {
  const place = { quantisation: now.quantisation, folder: folderOf(now) };
  for (const revision of revisionsOf(before)) await assignRevision(folder, place, revision);
}

/** The first byte in which two files differ; null: in none. What can not be read is no answer. */
export async function firstDifference(a: string, b: string, signal: AbortSignal): Promise<number | null> {
  await using left = await open(a, "r");
  await using right = await open(b, "r");
  const [one, other] = [Buffer.allocUnsafe(READ_BYTES), Buffer.allocUnsafe(READ_BYTES)];
  for (let at = 0; ;) {
    signal.throwIfAborted();
    const [x, y] = await Promise.all([left.read(one, 0, READ_BYTES, at), right.read(other, 0, READ_BYTES, at)]);
    const both = Math.min(x.bytesRead, y.bytesRead);
    if (one.compare(other, 0, both, 0, both) !== 0) {
      for (let index = 0; index < both; index++) if (one[index] !== other[index]) return at + index;
    }
    if (both === 0 || x.bytesRead !== y.bytesRead) return x.bytesRead === y.bytesRead ? null : at + both;
    at += both;
  }
}

/** What belongs to no model any more, or not yet: files put aside, and those of pulls that were broken off. */
export async function leftovers(
  modelsDir: string,
): Promise<readonly { readonly path: string; readonly repo: string; readonly isWrong: boolean }[]> {
  const found: { path: string; repo: string; isWrong: boolean }[] = [];
  for (const { repo, folder } of await pulledFolders(modelsDir)) {
    const names = await listDeep(folder, FOLDER_DEPTH_MAX);
    for (const path of names)
      if (path.endsWith(QUARANTINED) || path.endsWith(".part")) found.push({ path, repo, isWrong: path.endsWith(QUARANTINED) });
  }
  return found;
}

async function listDeep(folder: string, depth: number): Promise<readonly string[]> {
  const entries = (await readdir(folder, { withFileTypes: true }).catch(() => [])).slice(0, FOLDER_ENTRIES_MAX);
  const below = depth === 0 ? [] : entries.filter((entry) => entry.isDirectory());
  return [
    ...entries.filter((entry) => entry.isFile()).map(({ name }) => join(folder, name)),
    ...(await Promise.all(below.map(({ name }) => listDeep(join(folder, name), depth - 1)))).flat(),
  ];
}
