import { FOREIGN_MODELS_MAX, type ForeignModel, type ForeignPlaces } from "./foreign-model.ts";
import { hubCacheModels } from "./hub-cache.ts";
import { llamaCacheModels } from "./llama-cache.ts";
import { lmStudioModels } from "./lm-studio.ts";
import { ollamaModels } from "./ollama-models.ts";

/** What other tools have put on this disk. Folders that are not there, or may not be read, have nothing. */
export async function findForeign(places: ForeignPlaces): Promise<readonly ForeignModel[]> {
  const found = await Promise.all([hubCacheModels, llamaCacheModels, ollamaModels, lmStudioModels].map((look) => look(places)));
  return found.flatMap((models) => models.slice(0, FOREIGN_MODELS_MAX));
}
