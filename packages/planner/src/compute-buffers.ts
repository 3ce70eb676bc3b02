import type { ModelProfile, SpeculationType } from "@clusterd/wire";
import { cacheTokens, windowTokens, type CacheUse } from "./layer-costs.ts";

const F32_BYTES = 4;
const F16_BYTES = 2;
const INDEX_BYTES = 8;
/** Of a micro-batch's token besides its hidden state: its id, position, cells and places in the output. */
const TOKEN_INPUT_BYTES = 24;
/** Tokens guessed at a time, as the head is started: each needs logits of its own. */
const DRAFTED_TOKENS: Readonly<Record<SpeculationType, number>> = { off: 0, ngram: 12, mtp: 3, draft: 8 };

/** What the engine's buffers depend on besides the model. */
export type BufferUse = Pick<CacheUse, "context" | "slots" | "kv" | "microBatchTokens"> & {
  readonly speculation: SpeculationType;
  readonly flashAttention: boolean;
};

/** Bytes that the engine allocates for intermediate results, by where they are. */
export interface ComputeBuffers {
  /** With layers of its own; its logits included. */
  readonly head: number;
  readonly worker: number;
}

/**
 * The compute and output buffers of llama.cpp, as it reserves them at the start for a whole micro-batch (`sched_reserve`) with one copy of the
 * graph (`-ot` rules out pipelined copies, and remote devices do not compute asynchronously): the inputs, of which the attention masks
 * grow with the context, and on top of them the largest layer or, at the end of the graph, the logits.
 */
export function computeBuffers(model: ModelProfile, use: BufferUse): ComputeBuffers {
  const tokens = Math.min(use.microBatchTokens, use.context * use.slots);
  const inputs = (maskBytes(model, use) + valueIndexBytes(model, use) + TOKEN_INPUT_BYTES) * tokens;
  const state = Math.max(0, ...model.layers.map((layer) => layer.stateBytes)) * use.slots;
  const { f16Cache, quantisedCache, worker, recurrent, unfused } = model.activations;
  const perToken = F32_BYTES * tokens;
  // Every query's product with every key lies in memory at once.
  const products = unfused.rows * cacheTokens(use);
  const unfusedBytes = (place: "head" | "worker"): number =>
    use.flashAttention ? 0 : perToken * (unfused[place] + products) + F16_BYTES * unfused.copied * cacheTokens(use) * use.slots;
  const fused = perToken * (use.kv === "f16" ? f16Cache : quantisedCache);
  const own = inputs + Math.max(fused, unfusedBytes("head"), perToken * recurrent + state);
  // The residual stream comes to a worker as an input.
  const remote =
    inputs +
    Math.max(perToken * worker, unfusedBytes("worker"), perToken * Math.max(0, recurrent - model.embeddingLength) + state);
  const makesEmbeddings = (model.embedding ?? null) !== null;
  // Every token of an embedding is an output; the engine keeps room for its logits too, even where no graph computes them.
  const outputs = makesEmbeddings ? tokens : Math.min(use.slots * (1 + DRAFTED_TOKENS[use.speculation]), use.context * use.slots);
  const logits = F32_BYTES * outputs * model.vocabularySize;
  const last = inputs + tokens * model.hiddenBytes + (isEncoder(model) ? 0 : logits) + outputs * model.hiddenBytes;
  const kept = logits + (makesEmbeddings ? outputs * model.hiddenBytes : 0);
  return { head: Math.max(own, last) + kept, worker: remote };
}

/** Whether it keeps nothing of a token for those after it: its attention is over the batch. */
const isEncoder = ({ embedding, layers }: ModelProfile): boolean =>
  (embedding ?? null) !== null && layers.every((layer) => layer.kvElementsPerToken === 0);

/** Without flash attention values lie transposed, and each element of a token's has an index, for either kind of cache. */
function valueIndexBytes({ layers, activations }: ModelProfile, { flashAttention }: BufferUse): number {
  if (flashAttention) return 0;
  const kinds = new Set(
    layers.filter(({ kvElementsPerToken }) => kvElementsPerToken > 0).map((layer) => layer.kvWindowTokens !== null),
  );
  return INDEX_BYTES * activations.unfused.values * kinds.size;
}

/** A row of each mask there is, for one token: a float, of 16 bits with flash attention, for every token a slot's cache has room for. */
function maskBytes(model: ModelProfile, use: BufferUse): number {
  const { layers } = model;
  const floatBytes = use.flashAttention ? F16_BYTES : F32_BYTES;
  if (isEncoder(model)) {
    const masks = layers.some(({ kvWindowTokens }) => kvWindowTokens !== null) ? 2 : 1;
    return floatBytes * masks * Math.min(use.microBatchTokens, use.context * use.slots);
  }
  const cached = layers.filter((layer) => layer.kvElementsPerToken > 0);
  const [windowed] = cached.flatMap(({ kvWindowTokens }) => (kvWindowTokens === null ? [] : [kvWindowTokens]));
  const whole = cached.length > 0 ? cacheTokens(use) : 0;
  return floatBytes * (whole + (windowed === undefined ? 0 : windowTokens(windowed, use)));
}
