import { isAbsolute, join } from "node:path";
import { isFolder, namesIn, smallFile, type ForeignModel, type ForeignPlaces } from "./foreign-model.ts";
import { repositoryModels } from "./hub-cache.ts";

/** LM Studio's folder, the one that older versions used, and the one that a person has chosen in its settings: `PUBLISHER/REPO/FILE.gguf`. */
export async function lmStudioModels(places: ForeignPlaces): Promise<readonly ForeignModel[]> {
  const found: ForeignModel[] = [];
  for (const folder of await folders(places)) {
    for (const publisher of await namesIn(places, folder)) {
      if (!(await isFolder(join(folder, publisher)))) continue;
      for (const repo of await namesIn(places, join(folder, publisher))) {
        const place = join(folder, publisher, repo);
        if (await isFolder(place)) found.push(...(await repositoryModels(places, "lmstudio", `${publisher}/${repo}`, place)));
      }
    }
  }
  return found;
}

async function folders(places: ForeignPlaces): Promise<ReadonlySet<string>> {
  const { homeDir } = places;
  const pointed = (await smallFile(places, join(homeDir, ".lmstudio-home-pointer"))).trim();
  const homes = [...(isAbsolute(pointed) ? [pointed] : []), join(homeDir, ".lmstudio"), join(homeDir, ".cache", "lm-studio")];
  const found = new Set<string>();
  for (const home of homes) {
    const chosen = downloadsFolder(await smallFile(places, join(home, "settings.json")));
    if (chosen !== null && isAbsolute(chosen)) found.add(chosen);
    found.add(join(home, "models"));
  }
  return found;
}

function downloadsFolder(text: string): string | null {
  try {
    const { downloadsFolder: folder } = JSON.parse(text) as { readonly downloadsFolder?: unknown };
    return typeof folder === "string" ? folder : null;
  } catch {
    // No settings, or none that are read here.
    return null;
  }
}
