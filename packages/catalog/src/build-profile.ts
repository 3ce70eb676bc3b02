import { asContentId, asModelId, LAYERS_MAX, type LayerProfile, type ModelProfile } from "@clusterd/wire";
import { brokenModel } from "./broken-model.ts";
import type { GuardedHeader } from "./header-guard.ts";
import { METADATA_TEXT_MAX } from "./limits.ts";
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
  const keys = keyReader(metadata, path);
  if (metadata.general.architecture === "undefined") throw brokenModel(path, "its header names no architecture");
  const layerCount = keys.whole("block_count");
  if (layerCount < 1 || layerCount > LAYERS_MAX) throw brokenModel(path, `its header claims ${layerCount} layers`);
  const embeddingLength = keys.whole("embedding_length");
  const tensors = parts.flatMap((part) => part.tensors);
  const experts = keys.optional("expert_count");
  const activeShare =
    experts !== null && experts > 0 ? Math.min(1, (keys.optional("expert_used_count") ?? experts) / experts) : 1;
  const weights = Array.from({ length: layerCount }, () => 0);
  const active = Array.from({ length: layerCount }, () => 0);
  const parameters = Array.from({ length: layerCount }, () => 0);
  let inputBytes = 0;
  let outputBytes = 0;
  for (const { name, bytes, dimensions } of tensors) {
    const layer = /^blk\.(\d+)\./.exec(name)?.[1];
    if (layer !== undefined && Number(layer) < layerCount) {
      weights[Number(layer)] = (weights[Number(layer)] ?? 0) + bytes;
      // Of the experts only those that a token is routed to are read.
      const share = name.includes("_exps.") ? activeShare : 1;
      active[Number(layer)] = (active[Number(layer)] ?? 0) + bytes * share;
      const elements = dimensions.reduce((product, length) => product * length, 1);
      parameters[Number(layer)] = (parameters[Number(layer)] ?? 0) + elements * share;
    } else if (name === "token_embd.weight") inputBytes += bytes;
    else outputBytes += bytes;
  }
  if (!tensors.some((tensor) => tensor.name === "output.weight")) {
    // Tied embeddings: one matrix serves both ends, and decoding reads it as the output.
    outputBytes += inputBytes;
    inputBytes = 0;
  }
  const empty = weights.indexOf(0);
  if (empty >= 0) throw brokenModel(path, `layer ${empty} has no tensors`);
  const hasMla =
    tensors.some((tensor) => tensor.name.endsWith("attn_kv_a_mqa.weight")) &&
    tensors.some((tensor) => tensor.name.endsWith("attn_k_b.weight"));
  const layers: LayerProfile[] = weights.map((weightBytes, index) => ({
    weightBytes,
    activeBytes: Math.round(active[index] ?? weightBytes),
    activeParameters: Math.round(parameters[index] ?? 0),
    kvElementsPerToken: hasMla ? mlaElements(keys) : groupedElements(keys, index, embeddingLength),
    kvWindowTokens: null,
    stateBytes: 0,
  }));
  const name =
    typeof metadata.general.name === "string" && metadata.general.name !== "" ? metadata.general.name : modelIdOf(path);
  const fileType = metadata.general.file_type;
  return {
    id: asModelId(modelIdOf(path)),
    contentId: asContentId(contentId),
    name: plainText(name, METADATA_TEXT_MAX),
    architecture: plainText(metadata.general.architecture, 64),
    quantisation: quantisationName(typeof fileType === "number" ? fileType : null, bytesByType(tensors)),
    fileBytes: parts.reduce((sum, part) => sum + part.fileBytes, 0),
    contextMax: keys.whole("context_length"),
    vocabularySize: metadata.vocabulary?.size ?? keys.optional("vocab_size") ?? 0,
    embeddingLength,
    vocabulary: metadata.vocabulary,
    nextTokenLayers: Math.min(keys.optional("nextn_predict_layers") ?? 0, layerCount),
    layers,
    inputBytes,
    outputBytes,
    hiddenBytes: embeddingLength * HIDDEN_ELEMENT_BYTES,
  };
}

interface KeyReader {
  whole(key: string): number;
  optional(key: string): number | null;
  /** A value that may be one for all layers or one for each. */
  perLayer(key: string, layer: number): number | null;
}

function keyReader(metadata: ModelMetadata, path: string): KeyReader {
  const at = (key: string): unknown =>
    key.split(".").reduce<unknown>((value, part) => (value as Record<string, unknown> | undefined)?.[part], metadata.specific);
  const number = (value: unknown): number | null =>
    typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : null;
  return {
    whole(key) {
      const value = number(at(key));
      if (value === null || !Number.isSafeInteger(value))
        throw brokenModel(path, `its header has no usable ${metadata.general.architecture}.${key}`);
      return value;
    },
    optional: (key) => number(at(key)),
    perLayer(key, layer) {
      const value = at(key);
      return Array.isArray(value) ? number(value[layer]) : number(value);
    },
  };
}

/** Grouped-query attention: keys and values of every key/value head. */
function groupedElements(keys: KeyReader, layer: number, embeddingLength: number): number {
  const heads = keys.perLayer("attention.head_count", layer) ?? 1;
  const kvHeads = keys.perLayer("attention.head_count_kv", layer) ?? heads;
  const headLength = heads > 0 ? embeddingLength / heads : 0;
  const keyLength = keys.optional("attention.key_length") ?? headLength;
  const valueLength = keys.optional("attention.value_length") ?? headLength;
  return Math.round(kvHeads * (keyLength + valueLength));
}

/** Multi-head latent attention: llama.cpp caches the compressed vector and the rotary part, once for all heads. */
function mlaElements(keys: KeyReader): number {
  return (keys.optional("attention.kv_lora_rank") ?? 0) + (keys.optional("rope.dimension_count") ?? 0);
}

function bytesByType(tensors: GuardedHeader["tensors"]): ReadonlyMap<number, number> {
  const bytes = new Map<number, number>();
  for (const tensor of tensors) bytes.set(tensor.type, (bytes.get(tensor.type) ?? 0) + tensor.bytes);
  return bytes;
}
