import { join } from "node:path";
import { isFolder, namesIn, type ForeignModel, type ForeignPlaces } from "./foreign-model.ts";
import { repositoryModels } from "./hub-cache.ts";

/** LM Studio's folder, and the one that older versions used: `PUBLISHER/REPO/FILE.gguf`. */
export async function lmStudioModels({ homeDir }: ForeignPlaces): Promise<readonly ForeignModel[]> {
  const found: ForeignModel[] = [];
  for (const folder of [join(homeDir, ".lmstudio", "models"), join(homeDir, ".cache", "lm-studio", "models")]) {
    for (const publisher of await namesIn(folder)) {
      for (const repo of await namesIn(join(folder, publisher))) {
        const place = join(folder, publisher, repo);
        if (await isFolder(place)) found.push(...(await repositoryModels("lmstudio", `${publisher}/${repo}`, place)));
      }
    }
  }
  return found;
}
