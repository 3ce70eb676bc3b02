import type { GuardedHeader } from "./header-guard.ts";
import type { HeaderKeys } from "./header-keys.ts";

/** What a layer's tensors amount to. */
export interface LayerWeights {
  bytes: number;
  /** Bytes read for a token: of the experts only those it is routed to. */
  activeBytes: number;
  activeParameters: number;
}

export interface ModelWeights {
  readonly layers: readonly LayerWeights[];
  /** What is looked up by token or position, a row at a time. */
  readonly inputBytes: number;
  /** What turns the last hidden state into logits; with tied embeddings their matrix. */
  readonly outputBytes: number;
}

const EXPERTS = /_(ch)?exps\./;
/** Tables that a token takes one row of, besides the embedding. */
const LOOKED_UP = /^(token_embd|per_layer_token_embd|position_embd|token_types)\.weight$/;

/** Sums a model's tensors by layer. What belongs to no layer counts to the input where only a row of it is read, else to the output. */
export function modelWeights(tensors: GuardedHeader["tensors"], keys: HeaderKeys, layerCount: number): ModelWeights {
  const layers = Array.from({ length: layerCount }, (): LayerWeights => ({ bytes: 0, activeBytes: 0, activeParameters: 0 }));
  const isTied = !tensors.some((tensor) => tensor.name === "output.weight");
  let inputBytes = 0;
  let outputBytes = 0;
  for (const { name, bytes, dimensions } of tensors) {
    const number = /^blk\.(\d+)\./.exec(name)?.[1];
    const layer = number === undefined ? undefined : layers[Number(number)];
    if (layer !== undefined) {
      const share = EXPERTS.test(name) ? usedShare(keys, Number(number)) : 1;
      layer.bytes += bytes;
      layer.activeBytes += bytes * share;
      layer.activeParameters += dimensions.reduce((product, length) => product * length, 1) * share;
    } else if (LOOKED_UP.test(name) && !(isTied && name === "token_embd.weight")) inputBytes += bytes;
    // Tied embeddings: one matrix serves both ends, is allocated once, and decoding reads it as the output.
    else outputBytes += bytes;
  }
  return { layers, inputBytes, outputBytes };
}

/** Of a layer's experts the share a token is routed to. */
function usedShare(keys: HeaderKeys, layer: number): number {
  const experts = keys.optional("expert_count") ?? 0;
  return experts > 0 ? Math.min(1, (keys.perLayer("expert_used_count", layer) ?? experts) / experts) : 1;
}
