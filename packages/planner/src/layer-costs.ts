import {
  cellsFor,
  KV_BYTES_PER_ELEMENT,
  type KvType,
  type LayerProfile,
  type ModelProfile,
  type Placement,
} from "@clusterd/wire";

/** A layer as a plan counts it. */
export type LayerCost = Placement["model"]["layers"][number];

/** What the cost of a layer depends on besides the layer. */
export interface CacheUse {
  /** Tokens per slot. */
  readonly context: number;
  readonly slots: number;
  readonly kv: KvType;
  /** Tokens of a prompt that are computed at once. */
  readonly microBatchTokens: number;
  /** Tokens of context read for a token, on average. */
  readonly contextTokensRead: number;
}

/** Tokens that the cache of one slot has room for (`n_ctx_seq`: the slots share the whole, and each share is rounded up again). */
export function cacheTokens({ context, slots }: Pick<CacheUse, "context" | "slots">): number {
  return cellsFor(Math.floor(cellsFor(context * slots) / slots));
}

/** Tokens that a slot's cache of a layer with that window has room for: the window and a micro-batch before it (`llama_kv_cache_iswa`). */
export function windowTokens(window: number, use: Pick<CacheUse, "context" | "slots" | "microBatchTokens">): number {
  return cellsFor(Math.min(cacheTokens(use), window + use.microBatchTokens));
}

/**
 * The layers as a plan counts them, in which a cache grows with every token. `kvBytesPerToken` is what the engine allocates for a layer
 * divided by all tokens there is room for: of a sliding window less, of recurrent state nearly nothing. `activeBytes` makes good for the
 * difference between that and what is read for a token: a window's tokens at most, recurrent state read and written whole.
 */
export function layerCosts(model: ModelProfile, use: CacheUse): readonly LayerCost[] {
  return model.layers.slice(0, trunkLayers(model)).map((layer) => layerCost(layer, use));
}

/** The layers for later tokens, which are no stage's: they stay on the disk unless the head guesses with them. */
export function nextTokenCosts(model: ModelProfile, use: CacheUse): readonly LayerCost[] {
  return model.layers.slice(trunkLayers(model)).map((layer) => layerCost(layer, use));
}

/** How many layers every token passes. */
export const trunkLayers = ({ layers, nextTokenLayers }: Pick<ModelProfile, "layers" | "nextTokenLayers">): number =>
  layers.length - nextTokenLayers;

function layerCost(layer: LayerProfile, use: CacheUse): LayerCost {
  const perToken = layer.kvElementsPerToken * KV_BYTES_PER_ELEMENT[use.kv];
  const tokens = layer.kvWindowTokens === null ? cacheTokens(use) : windowTokens(layer.kvWindowTokens, use);
  const kvBytesPerToken = (perToken * tokens + layer.stateBytes) / use.context;
  const tokensRead = Math.min(layer.kvWindowTokens ?? Infinity, use.contextTokensRead);
  const read = perToken * tokensRead + 2 * layer.stateBytes;
  return {
    weightBytes: layer.weightBytes,
    activeBytes: Math.max(0, layer.activeBytes + read - kvBytesPerToken * use.contextTokensRead),
    kvBytesPerToken,
  };
}
