import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { isProjectorName } from "./choose-projector.ts";
import { FOLDER_ENTRIES_MAX } from "./limits.ts";
import { pulledFolders, pulledModels } from "./pull/pulled-models.ts";
import { partName } from "./split-parts.ts";
import type { ModelSource } from "./catalog.ts";

/** A model's file that was found, and how it is listed. */
export interface FoundModel {
  readonly path: string;
  readonly source: ModelSource;
  readonly id: string | null;
  readonly aliases: readonly string[];
  readonly sha256: string | null;
  /** Known to belong to it, wherever it lies. */
  readonly projectorPath?: string;
}

/**
 * The models in the home's folder: files that a person has put there, links to files elsewhere included, which are read and never written; and
 * what was pulled, by its records. Folders that are links are not entered.
 */
export async function homeModels(folder: string, onLooked: (path: string) => void): Promise<readonly FoundModel[]> {
  onLooked(folder);
  const found: FoundModel[] = [];
  for (const name of (await readdir(folder).catch(() => [])).slice(0, FOLDER_ENTRIES_MAX)) {
    // Of a split model the first part stands for all.
    if (!name.toLowerCase().endsWith(".gguf") || isProjectorName(name) || (partName(name)?.number ?? 1) !== 1) continue;
    found.push({ path: join(folder, name), source: "home", id: null, aliases: [], sha256: null });
  }
  for (const { folder: repository } of await pulledFolders(folder, onLooked)) onLooked(join(repository, "pulled.json"));
  for (const { id, aliases, path, sha256, projectorPath } of await pulledModels(folder))
    found.push({ path, source: "pulled", id, aliases, sha256, ...(projectorPath === null ? {} : { projectorPath }) });
  return found;
}
