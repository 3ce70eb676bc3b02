import { lstat, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { hubId } from "@clusterd/wire";
import { chooseProjector, isProjectorName } from "../choose-projector.ts";
import { partName } from "../split-parts.ts";
import { FOLDER_ENTRIES_MAX } from "../limits.ts";
import { mustBeInside } from "./inside-folder.ts";
import { pullPath } from "./pull-path.ts";
import { BESIDE, folderOf, forgetPulled, pulledFiles, revisionsOf, type PulledFile } from "./pulled-files.ts";

/** A model that was pulled and is whole. */
export interface PulledEntry {
  /** `OWNER/REPO:QUANT`, with its revision where that is not `main`. */
  readonly id: string;
  /** Its other revisions' names, and its commit's. */
  readonly aliases: readonly string[];
  readonly repo: string;
  readonly quantisation: string;
  /** Below the repository's folder. */
  readonly folder: string;
  /** Of its first part. */
  readonly path: string;
  readonly projectorPath: string | null;
  /** Of all parts, one after the other, hex. */
  readonly sha256: string;
}

const COMMIT_SHOWN = 12;

/** What was pulled into the models folder and is still whole, by its records. */
export async function pulledModels(modelsDir: string): Promise<readonly PulledEntry[]> {
  const found: PulledEntry[] = [];
  for (const { repo } of await pulledFolders(modelsDir)) found.push(...(await modelsOf(modelsDir, repo)));
  return found;
}

/** The folders that repositories have in the models folder, whatever is in them. */
export async function pulledFolders(
  modelsDir: string,
  onLooked?: (path: string) => void,
): Promise<readonly { readonly repo: string; readonly folder: string }[]> {
  const found: { repo: string; folder: string }[] = [];
  for (const owner of await folders(modelsDir)) {
    onLooked?.(join(modelsDir, owner));
    for (const name of await folders(join(modelsDir, owner)))
      found.push({ repo: `${owner}/${name}`, folder: join(modelsDir, owner, name) });
  }
  return found;
}

async function modelsOf(modelsDir: string, repo: string): Promise<readonly PulledEntry[]> {
  const files = await pulledFiles(join(modelsDir, ...repo.split("/")));
  const found: PulledEntry[] = [];
  for (const first of files) {
    if (first.quantisation === BESIDE || isProjectorName(first.path) || (partName(first.path)?.number ?? 1) !== 1) continue;
    const parts = partsOf(files, first);
    const path = placeOf(modelsDir, repo, first);
    if (parts === null || path === null) continue;
    const sizes = await Promise.all(parts.map((part) => hasSize(placeOf(modelsDir, repo, part), part.bytes)));
    if (!sizes.every(Boolean)) continue;
    const { quantisation, commit } = first;
    const folder = folderOf(first);
    const named = revisionsOf(first).toSorted((a, b) => Number(b === "main") - Number(a === "main"));
    const [id = "", ...aliases] = [...named, commit.slice(0, COMMIT_SHOWN)].map((each) => hubId(repo, quantisation, each));
    const beside = files.filter((file) => file.quantisation === BESIDE && folderOf(file) === folder);
    const projector = beside.find(({ path: each }) => each === projectorOf(files, first));
    found.push({
      ...{ id, aliases, repo, quantisation, folder, path },
      projectorPath: projector === undefined ? null : placeOf(modelsDir, repo, projector),
      sha256: parts.map(({ sha256 }) => sha256).join(""),
    });
  }
  return found;
}

/** All parts of the model whose first part this is, in order; null where some were not pulled. */
function partsOf(files: readonly PulledFile[], first: PulledFile): readonly PulledFile[] | null {
  const { stem, count } = partName(first.path) ?? { stem: null, count: 1 };
  if (stem === null) return [first];
  const among = files.filter((file) => folderOf(file) === folderOf(first) && file.quantisation === first.quantisation);
  const parts = Array.from({ length: count }, (_, index) =>
    among.find((file) => {
      const part = partName(file.path);
      return part?.stem === stem && part.count === count && part.number === index + 1;
    }),
  );
  return parts.every((part) => part !== undefined) ? parts : null;
}

/** The projector of a model among what lies in its folder. */
function projectorOf(files: readonly PulledFile[], model: PulledFile): string | null {
  const beside = files.filter((file) => file.quantisation === BESIDE && folderOf(file) === folderOf(model));
  return chooseProjector(
    model.path,
    beside.map(({ path }) => path),
  );
}

/**
 * Deletes what was pulled of a model, what is left of tries included, and the projectors that no other model there needs; gives the bytes that
 * were freed. Throws `invalid_request` where a link leads out of the models folder.
 */
export async function removePulled(
  modelsDir: string,
  { repo, quantisation, folder }: Pick<PulledEntry, "repo" | "quantisation" | "folder">,
): Promise<number> {
  const repository = join(modelsDir, ...repo.split("/"));
  const all = await pulledFiles(repository);
  const own = all.filter((file) => file.quantisation === quantisation && folderOf(file) === folder);
  const others = all.filter((file) => file.quantisation !== BESIDE && !own.includes(file));
  const needed = new Set(others.map((file) => `${folderOf(file)} ${projectorOf(all, file)}`));
  const unneeded = all.filter(
    (file) => file.quantisation === BESIDE && folderOf(file) === folder && !needed.has(`${folder} ${file.path}`),
  );
  const gone = [...own, ...unneeded];
  const places = gone.flatMap((file) => placeOf(modelsDir, repo, file) ?? []);
  for (const place of places) await mustBeInside(modelsDir, place);
  let freed = 0;
  for (const place of places) {
    // Of a link the link goes, and nothing is freed. A file that is linked to from another revision's folder frees nothing either.
    const found = await lstat(place).catch(() => null);
    if (found?.isFile() === true && found.nlink === 1) freed += found.size;
    for (const ending of ["", ".part", ".part.json"]) await rm(`${place}${ending}`, { force: true });
  }
  await forgetPulled(repository, gone);
  return freed;
}

/** Where a pulled file lies. A record is a file as any other: null for what would not lie below the models folder. */
export function placeOf(modelsDir: string, repo: string, file: Pick<PulledFile, "path" | "folder">): string | null {
  try {
    return pulledPath(modelsDir, repo, file);
  } catch {
    return null;
  }
}

/** Where a file of a repository lies, or goes. Throws `usage` for a name that would lead elsewhere. */
export function pulledPath(modelsDir: string, repo: string, { path, folder }: Pick<PulledFile, "path" | "folder">): string {
  return pullPath(modelsDir, repo, folder === undefined || folder === "" ? path : `${folder}/${path}`);
}

async function folders(path: string): Promise<readonly string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  return entries
    .slice(0, FOLDER_ENTRIES_MAX)
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
    .map(({ name }) => name);
}

async function hasSize(path: string | null, bytes: number): Promise<boolean> {
  if (path === null) return false;
  return stat(path).then(
    ({ size }) => size === bytes,
    () => false,
  );
}
