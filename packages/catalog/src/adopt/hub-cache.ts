import { basename, join } from "node:path";
import { hubId } from "@clusterd/wire";
import { chooseProjector } from "../choose-projector.ts";
import { modelsAmong } from "../remote/choose-files.ts";
import { ggufFilesIn, isFolder, namesIn, realFileIn, smallFile, type ForeignModel, type ForeignPlaces } from "./foreign-model.ts";

const FOLDERS_DEEP = 3;
/** `refs/pr/1`, say, below `refs`. */
const REFS_DEEP = 2;
const REFS_MAX = 256;
/** Names of one commit. */
const NAMES_MAX = 8;
const SHA256 = /^[0-9a-f]{64}$/u;

/**
 * The cache of Hugging Face's own tools: `models--OWNER--REPO/snapshots/COMMIT/…`, links to blobs under their digests. llama.cpp keeps its own in
 * the same layout today, in `LLAMA_CACHE` where that is set (common/hf-cache.cpp).
 */
export async function hubCacheModels(places: ForeignPlaces): Promise<readonly ForeignModel[]> {
  const { env, homeDir } = places;
  const hfHome = env["HF_HOME"] || join(env["XDG_CACHE_HOME"] || join(homeDir, ".cache"), "huggingface");
  const cache = env["HF_HUB_CACHE"] || env["HUGGINGFACE_HUB_CACHE"] || join(hfHome, "hub");
  const own = await cacheModels(places, cache, "huggingface");
  const llama = env["LLAMA_CACHE"];
  return llama === undefined || llama === "" || llama === cache
    ? own
    : [...own, ...(await cacheModels(places, llama, "llama.cpp"))];
}

async function cacheModels(
  places: ForeignPlaces,
  cache: string,
  source: ForeignModel["source"],
): Promise<readonly ForeignModel[]> {
  const found: ForeignModel[] = [];
  for (const name of await namesIn(places, cache)) {
    const [kind, owner, ...rest] = name.split("--");
    if (kind !== "models" || owner === undefined || rest.length === 0) continue;
    const repo = `${owner}/${rest.join("--")}`;
    const folder = join(cache, name);
    const refs = await refsIn(places, join(folder, "refs"));
    const commits = await namesIn(places, join(folder, "snapshots"));
    // What a branch was last fetched as comes first, `main` before all.
    const rank = (commit: string): number =>
      refs.some((ref) => ref.commit === commit && ref.name === "main") ? 0 : refs.some((ref) => ref.commit === commit) ? 1 : 2;
    for (const commit of commits.toSorted((a, b) => rank(a) - rank(b))) {
      const revisions = refs
        .filter((ref) => ref.commit === commit)
        .map((ref) => ref.name)
        .toSorted((a, b) => Number(b === "main") - Number(a === "main"));
      const snapshot = join(folder, "snapshots", commit);
      // Links that lead out of the cache are no work of the tools whose cache it is.
      const models = await folderModels(places, snapshot, cache);
      for (const { quantisation, path, sha256, projectorPath } of models) {
        const named = [...revisions.slice(0, NAMES_MAX), commit];
        const [id = "", ...aliases] = named.map((revision) => hubId(repo, quantisation, revision));
        found.push({
          ...{ source, id, aliases, path },
          ...(sha256 === null ? {} : { sha256 }),
          ...(projectorPath === null ? {} : { projectorPath }),
        });
      }
    }
  }
  return found;
}

/** The models of a folder that holds a repository's files, named as on their hub. */
export async function repositoryModels(
  places: ForeignPlaces,
  source: ForeignModel["source"],
  repo: string,
  folder: string,
): Promise<readonly ForeignModel[]> {
  const models = await folderModels(places, folder, null);
  return models.map(({ quantisation, path, projectorPath }) => ({
    ...{ source, id: hubId(repo, quantisation, null), path },
    ...(projectorPath === null ? {} : { projectorPath }),
  }));
}

interface FolderModel {
  readonly quantisation: string;
  readonly path: string;
  readonly sha256: string | null;
  readonly projectorPath: string | null;
}

/** `within`: the folder that files may not lead out of; null: wherever a person's own links lead. */
async function folderModels(places: ForeignPlaces, folder: string, within: string | null): Promise<readonly FolderModel[]> {
  const paths = await ggufFilesIn(places, folder, FOLDERS_DEEP);
  const found: FolderModel[] = [];
  for (const { quantisation, count, files } of modelsAmong(paths.map((path) => ({ path, bytes: null, sha256: null })))) {
    const [first] = files;
    // Of a model that is not whole yet there is nothing to take over.
    if (first === undefined || files.length !== count) continue;
    const placeOf = (path: string): string => join(folder, ...path.split("/"));
    const own = files.map(({ path }) => placeOf(path));
    const real = within === null ? own : await Promise.all(own.map((path) => realFileIn(within, path)));
    if (real.includes(null)) continue;
    const projector = chooseProjector(first.path, paths);
    const leadsOut = projector !== null && within !== null && (await realFileIn(within, placeOf(projector))) === null;
    const digests = real.map((path) => basename(path ?? ""));
    const sha256 = digests.every((digest) => SHA256.test(digest)) ? digests.join("") : null;
    const projectorPath = projector === null || leadsOut ? null : placeOf(projector);
    found.push({ quantisation, path: own[0] ?? "", sha256, projectorPath });
  }
  return found;
}

interface Ref {
  readonly name: string;
  readonly commit: string;
}

/** Branches and tags, and the commits they were last fetched as. */
async function refsIn(places: ForeignPlaces, folder: string, depth: number = REFS_DEEP): Promise<readonly Ref[]> {
  const found: Ref[] = [];
  for (const name of await namesIn(places, folder)) {
    const path = join(folder, name);
    if (await isFolder(path)) {
      if (depth > 0)
        found.push(...(await refsIn(places, path, depth - 1)).map((ref) => ({ ...ref, name: `${name}/${ref.name}` })));
    } else {
      const commit = (await smallFile(places, path)).trim();
      if (/^[0-9a-f]{4,64}$/u.test(commit)) found.push({ name, commit });
    }
    if (found.length >= REFS_MAX) break;
  }
  return found;
}
