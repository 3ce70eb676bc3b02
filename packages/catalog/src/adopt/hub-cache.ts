import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { modelsAmong } from "../remote/choose-files.ts";
import { ggufFilesIn, namesIn, type ForeignModel, type ForeignPlaces } from "./foreign-model.ts";

const FOLDERS_DEEP = 3;

/** The cache of Hugging Face's own tools, which llama.cpp uses too: `models--OWNER--REPO/snapshots/COMMIT/…`. */
export async function hubCacheModels({ env, homeDir }: ForeignPlaces): Promise<readonly ForeignModel[]> {
  const hfHome = env["HF_HOME"] ?? join(env["XDG_CACHE_HOME"] ?? join(homeDir, ".cache"), "huggingface");
  const cache = env["HF_HUB_CACHE"] ?? env["HUGGINGFACE_HUB_CACHE"] ?? join(hfHome, "hub");
  const found: ForeignModel[] = [];
  for (const name of await namesIn(cache)) {
    const [kind, owner, ...rest] = name.split("--");
    if (kind !== "models" || owner === undefined || rest.length === 0) continue;
    const snapshot = await newestSnapshot(join(cache, name));
    if (snapshot !== null) found.push(...(await repositoryModels("huggingface", `${owner}/${rest.join("--")}`, snapshot)));
  }
  return found;
}

/** The models of a folder that holds a repository's files, named as on their hub. */
export async function repositoryModels(
  source: ForeignModel["source"],
  repo: string,
  folder: string,
): Promise<readonly ForeignModel[]> {
  const paths = await ggufFilesIn(folder, FOLDERS_DEEP);
  const models = modelsAmong(paths.map((path) => ({ path, bytes: null, sha256: null })));
  return models.flatMap(({ quantisation, count, files }) => {
    const [first] = files;
    // Of a model that is not whole yet there is nothing to take over.
    return first === undefined || files.length !== count
      ? []
      : [{ source, id: `${repo}:${quantisation}`, path: join(folder, ...first.path.split("/")) }];
  });
}

/** What the branch `main` was last fetched as, else the newest there is. */
async function newestSnapshot(folder: string): Promise<string | null> {
  const snapshots = join(folder, "snapshots");
  const names = await namesIn(snapshots);
  const main = (await readFile(join(folder, "refs", "main"), "utf8").catch(() => "")).trim();
  if (names.includes(main)) return join(snapshots, main);
  const aged = await Promise.all(
    names.map(async (name) => ({ name, ms: (await stat(join(snapshots, name)).catch(() => null))?.mtimeMs ?? 0 })),
  );
  const newest = aged.toSorted((a, b) => b.ms - a.ms)[0];
  return newest === undefined ? null : join(snapshots, newest.name);
}
