import { amount, count, id, list, record, text, words, type Check } from "./check.ts";
import type { ContentId, ModelId } from "./ids.ts";
import { ID_LENGTH_MAX, LAYERS_MAX, NAME_LENGTH_MAX, TITLE_LENGTH_MAX } from "./limits.ts";
import type { LayerProfile, ModelProfile } from "./model-profile.ts";

const layer: Check<LayerProfile> = record({ weightBytes: amount, activeBytes: amount, kvElementsPerToken: amount });

export const checkProfile: Check<ModelProfile> = record({
  id: id<ModelId>(TITLE_LENGTH_MAX),
  contentId: id<ContentId>(ID_LENGTH_MAX),
  name: words(TITLE_LENGTH_MAX),
  architecture: text(NAME_LENGTH_MAX),
  quantisation: text(NAME_LENGTH_MAX),
  fileBytes: amount,
  contextMax: count(),
  vocabularySize: count(),
  embeddingLength: count(),
  layers: list(layer, LAYERS_MAX),
  inputBytes: amount,
  outputBytes: amount,
  hiddenBytes: amount,
});
