import { ClusterdError, asContentId, asModelId, LAYERS_MAX, type LayerProfile, type ModelProfile } from "@clusterd/wire";
import { activationElements } from "./activation-elements.ts";
import { brokenModel } from "./broken-model.ts";
import { embeddingUse } from "./embedding-use.ts";
import type { GuardedHeader } from "./header-guard.ts";
import { METADATA_TEXT_MAX } from "./limits.ts";
import { headerKeys, type HeaderKeys } from "./header-keys.ts";
import { cachedElements, stateBytes } from "./layer-cache.ts";
import { layerKinds } from "./layer-kinds.ts";
import { modelWeights, type ModelWeights } from "./layer-weights.ts";
import { plainText } from "./plain-text.ts";
import type { ModelMetadata } from "./read-metadata.ts";
import { partName } from "./split-parts.ts";
import { quantisationName } from "./tensor-types.ts";

/** Bytes of one element of a hidden state on the wire (f32). */
const HIDDEN_ELEMENT_BYTES = 4;
const MODEL_ID_LENGTH_MAX = 200;

/** The id of a model file: its name without `.gguf` and part number. */
export function modelIdOf(path: string): string {
  const name =
    partName(path)?.stem ??
    path
      .split(/[/\\]/)
      .at(-1)
      ?.replace(/\.gguf$/i, "") ??
    path;
  return plainText(name, MODEL_ID_LENGTH_MAX);
}

/** A model's profile from its checked headers (all parts) and their meaning. Throws `model_broken` where a key it needs is missing. */
export function buildProfile(parts: readonly GuardedHeader[], contentId: string, metadata: ModelMetadata): ModelProfile {
  const path = parts[0]?.path ?? "";
  const keys = headerKeys(metadata, path);
  if (keys.architecture === "undefined") throw brokenModel(path, "its header names no architecture");
  if (keys.architecture === "clip") {
    throw new ClusterdError("unsupported", `${path} is no model: it lets one see or hear.`, {
      next: "Load the model that it came with; it is found in that model's folder.",
    });
  }
  const layerCount = keys.whole("block_count");
  if (layerCount < 1 || layerCount > LAYERS_MAX) throw brokenModel(path, `its header claims ${layerCount} layers`);
  const embeddingLength = keys.whole("embedding_length");
  const nextTokenLayers = keys.optional("nextn_predict_layers") ?? 0;
  if (nextTokenLayers >= layerCount)
    throw brokenModel(path, `of its ${layerCount} layers ${nextTokenLayers} are for later tokens`);
  const tensors = parts.flatMap((part) => part.tensors);
  const weights = modelWeights(tensors, keys, layerCount);
  // Files are also made without the layers for later tokens, or with nothing else: those guess for a model, and are none.
  const empty = weights.layers.findIndex((layer, index) => layer.bytes === 0 && index < layerCount - nextTokenLayers);
  if (empty >= 0) throw brokenModel(path, `layer ${empty} has no tensors`);
  const name =
    typeof metadata.general.name === "string" && metadata.general.name !== "" ? metadata.general.name : modelIdOf(path);
  const fileType = metadata.general.file_type;
  return {
    id: asModelId(modelIdOf(path)),
    contentId: asContentId(contentId),
    name: plainText(name, METADATA_TEXT_MAX),
    architecture: plainText(keys.architecture, 64),
    quantisation: quantisationName(typeof fileType === "number" ? fileType : null, bytesByType(tensors)),
    fileBytes: parts.reduce((sum, part) => sum + part.fileBytes, 0),
    contextMax: keys.whole("context_length"),
    vocabularySize: metadata.vocabulary?.size ?? keys.optional("vocab_size") ?? 0,
    embeddingLength,
    embedding: embeddingUse(keys, path),
    infill: metadata.infill ?? null,
    vocabulary: metadata.vocabulary,
    nextTokenLayers,
    layers: layerProfiles(keys, weights, nextTokenLayers),
    activations: activationElements(tensors, keys, layerCount),
    inputBytes: weights.inputBytes,
    outputBytes: weights.outputBytes,
    hiddenBytes: embeddingLength * HIDDEN_ELEMENT_BYTES,
  };
}

function layerProfiles(keys: HeaderKeys, weights: ModelWeights, nextTokenLayers: number): readonly LayerProfile[] {
  const kinds = layerKinds(keys, weights.layers.length, nextTokenLayers);
  return weights.layers.map((layer, index) => {
    const kind = kinds[index] ?? { hasCache: true, hasState: false, window: null };
    return {
      weightBytes: layer.bytes,
      activeBytes: Math.round(layer.activeBytes),
      activeParameters: Math.round(layer.activeParameters),
      kvElementsPerToken: cachedElements(keys, kind, index),
      kvWindowTokens: kind.window,
      stateBytes: stateBytes(keys, kind),
    };
  });
}

function bytesByType(tensors: GuardedHeader["tensors"]): ReadonlyMap<number, number> {
  const bytes = new Map<number, number>();
  for (const tensor of tensors) bytes.set(tensor.type, (bytes.get(tensor.type) ?? 0) + tensor.bytes);
  return bytes;
}
