import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { partName } from "../split-parts.ts";
import { FOLDER_ENTRIES_MAX } from "../limits.ts";
import { pullPath } from "./pull-path.ts";
import { forgetPulled, pulledFiles } from "./pulled-files.ts";

/** A model that was pulled: its id, and the path of its first part. */
export interface PulledEntry {
  /** `OWNER/REPO:QUANT`. */
  readonly id: string;
  readonly path: string;
}

/** What was pulled into the models folder and is still whole, by its records. */
export async function pulledModels(modelsDir: string): Promise<readonly PulledEntry[]> {
  const found: PulledEntry[] = [];
  for (const owner of await folders(modelsDir)) {
    for (const repo of await folders(join(modelsDir, owner))) {
      for (const { path, bytes, quantisation } of await pulledFiles(join(modelsDir, owner, repo))) {
        if ((partName(path)?.number ?? 1) !== 1) continue;
        const target = placeOf(modelsDir, `${owner}/${repo}`, path);
        if (target !== null && (await hasSize(target, bytes)))
          found.push({ id: `${owner}/${repo}:${quantisation}`, path: target });
      }
    }
  }
  return found;
}

/** Deletes what was pulled of a model, what is left of tries included; gives the bytes that were freed. */
export async function removePulled(modelsDir: string, repo: string, quantisation: string): Promise<number> {
  const folder = join(modelsDir, ...repo.split("/"));
  const files = (await pulledFiles(folder)).filter((file) => file.quantisation === quantisation);
  let freed = 0;
  for (const { path } of files) {
    const target = placeOf(modelsDir, repo, path);
    if (target === null) continue;
    freed += (await stat(target).catch(() => null))?.size ?? 0;
    for (const ending of ["", ".part", ".part.json"]) await rm(`${target}${ending}`, { force: true });
  }
  await forgetPulled(folder, new Set(files.map(({ path }) => path)));
  return freed;
}

/** A record is a file as any other: what it names must lie below the models folder. */
function placeOf(modelsDir: string, repo: string, path: string): string | null {
  try {
    return pullPath(modelsDir, repo, path);
  } catch {
    return null;
  }
}

async function folders(path: string): Promise<readonly string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  return entries
    .slice(0, FOLDER_ENTRIES_MAX)
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
}

async function hasSize(path: string, bytes: number): Promise<boolean> {
  return stat(path).then(
    ({ size }) => size === bytes,
    () => false,
  );
}
