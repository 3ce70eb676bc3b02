import {
  cellsFor,
  KV_BYTES_PER_ELEMENT,
  MICRO_BATCH_TOKENS,
  type KvType,
  type LinkTable,
  type ModelProfile,
  type PlanCosts,
  type PlannerNode,
  type PlanStage,
  type SpeculationType,
} from "@clusterd/wire";
import { computeBuffers, type BufferUse } from "./compute-buffers.ts";
import { layerCosts, nextTokenCosts, type LayerCost } from "./layer-costs.ts";
import { neighboursOf, roundTripMs } from "./links.ts";

/** Of one engine process besides the model: code, heap, threads' stacks (measured: 25 to 45 MB). */
export const PROCESS_BYTES: number = 48 * 1024 * 1024;
/** What a stage costs per token besides reading its weights: graph set-up, sampling, wake-ups (the demo model on one slow core: 1 to 1.5 ms). */
export const STAGE_OVERHEAD_MS = 1;

/** The constants of the cost model for one request. `context` is per slot, `draftBytes` what guessing takes on the head besides. */
function planCosts(model: ModelProfile, use: BufferUse, draftBytes: number, tokensRead: number): PlanCosts {
  const buffers = computeBuffers(model, use);
  return {
    stageOverheadMs: STAGE_OVERHEAD_MS,
    // Over an answer the cache is half full on average, unless it is known to be less.
    contextTokensRead: Math.min(tokensRead, Math.floor(use.context / 2)),
    headBufferBytes: PROCESS_BYTES + buffers.head + draftBytes + (model.projector?.memoryBytes ?? 0),
    workerBufferBytes: PROCESS_BYTES + buffers.worker,
    // Layers are computed one after the other, in the same buffer.
    workerBufferBytesPerLayer: 0,
  };
}

/** All that a draft model takes beside the model: weights, the cache of every slot, buffers of the same process. Bytes. */
function draftMemory(draft: ModelProfile, context: number, slots: number, kv: KvType, flashAttention: boolean): number {
  const use = {
    context,
    slots,
    kv,
    flashAttention,
    microBatchTokens: MICRO_BATCH_TOKENS,
    contextTokensRead: 0,
  };
  const layers = layerCosts(draft, use).reduce(
    (sum, layer) => sum + layer.weightBytes + layer.kvBytesPerToken * context * slots,
    0,
  );
  return draft.inputBytes + draft.outputBytes + layers + computeBuffers(draft, { ...use, speculation: "off" }).head;
}

/**
 * What guessing with the model's own layers takes on the head: their weights, the cache of every slot, a second context's buffers, and the
 * process that has them where other machines have the rest. Bytes.
 */
function nextTokenMemory(model: ModelProfile, use: BufferUse): number {
  const layers = nextTokenCosts(model, { ...use, contextTokensRead: 0 }).reduce(
    (sum, layer) => sum + layer.weightBytes + layer.kvBytesPerToken * use.context * use.slots,
    0,
  );
  const buffers = computeBuffers(model, { ...use, speculation: "off" });
  return layers + buffers.head + buffers.worker + PROCESS_BYTES;
}

/** How the engine is going to run, as far as costs depend on it. */
export interface EngineUse {
  /** Tokens of a prompt computed at once. Absent: as many as by a single stage; several take fewer, for which these buffers hold as well. */
  readonly microBatchTokens?: number;
  /** Absent: by what was said before, which guesses most tokens at a time. */
  readonly speculation?: SpeculationType;
  /** Tokens of context that a token reads on average, at most. Absent: half of the context. */
  readonly contextTokensRead?: number;
  /** Absent: on. */
  readonly flashAttention?: boolean;
}

/** The model with its sums ready: every stage's figures in constant time. */
export interface CostModel {
  readonly model: ModelProfile;
  /** Each layer's figures, as a plan prints them. */
  readonly layers: readonly LayerCost[];
  readonly costs: PlanCosts;
  /** How the engine is taken to run. */
  readonly engine: EngineUse;
  readonly context: number;
  readonly slots: number;
  readonly kvBytesPerElement: number;
  /** Of the head's buffers, what a draft model or the layers for later tokens take. */
  readonly draftBytes: number;
  readonly layerCount: number;
  /** Whether all layers cost the same, so that a layer count says all. */
  readonly uniform: boolean;
  /** Bytes that k consecutive layers need at most (weights and cache), by k. */
  readonly widest: readonly number[];
  memoryBytes(first: number, count: number, isHead: boolean): number;
  /** Memory of a head without layers. */
  readonly headOnlyBytes: number;
  computeMs(first: number, count: number, node: PlannerNode): number;
  headMs(head: PlannerNode): number;
  stage(node: PlannerNode, head: PlannerNode, first: number, count: number, links: LinkTable): PlanStage;
}

export function costModel(
  model: ModelProfile,
  context: number,
  slots: number,
  kv: KvType,
  draft?: ModelProfile,
  engine: EngineUse = {},
): CostModel {
  const { flashAttention = true } = engine;
  // A text that has to be computed in one piece is one batch, however many stages there are.
  const microBatchTokens = model.embedding?.whole === true ? cellsFor(context) : (engine.microBatchTokens ?? MICRO_BATCH_TOKENS);
  const speculation = engine.speculation ?? "ngram";
  const use = { context, slots, kv, flashAttention, microBatchTokens, speculation };
  const draftBytes =
    speculation === "mtp"
      ? nextTokenMemory(model, use)
      : draft === undefined
        ? 0
        : draftMemory(draft, context, slots, kv, flashAttention);
  const costs = planCosts(model, use, draftBytes, engine.contextTokensRead ?? Infinity);
  const perElement = KV_BYTES_PER_ELEMENT[kv];
  const layers = layerCosts(model, { ...use, contextTokensRead: costs.contextTokensRead });
  const layerCount = layers.length;
  const weight = [0];
  const active = [0];
  const cache = [0];
  for (const [index, layer] of layers.entries()) {
    weight.push((weight[index] ?? 0) + layer.weightBytes);
    active.push((active[index] ?? 0) + layer.activeBytes);
    cache.push((cache[index] ?? 0) + layer.kvBytesPerToken);
  }
  const range = (sums: readonly number[], first: number, count: number): number =>
    (sums[first + count] ?? 0) - (sums[first] ?? 0);
  const kvBytes = (first: number, count: number): number => range(cache, first, count) * context * slots;
  const headOnlyBytes = costs.headBufferBytes + model.inputBytes + model.outputBytes;
  const buffers = (count: number, isHead: boolean): number =>
    isHead ? costs.headBufferBytes : costs.workerBufferBytes + costs.workerBufferBytesPerLayer * count;
  const widest = Array.from({ length: layerCount + 1 }, (_, count) => {
    let most = 0;
    for (let first = 0; first + count <= layerCount; first++)
      most = Math.max(most, range(weight, first, count) + kvBytes(first, count));
    return most;
  });
  const [one] = layers;
  const uniform = layers.every(
    (layer) =>
      layer.weightBytes === one?.weightBytes &&
      layer.activeBytes === one.activeBytes &&
      layer.kvBytesPerToken === one.kvBytesPerToken,
  );

  function memoryBytes(first: number, count: number, isHead: boolean): number {
    return (
      range(weight, first, count) +
      kvBytes(first, count) +
      buffers(count, isHead) +
      (isHead ? model.inputBytes + model.outputBytes : 0)
    );
  }
  function computeMs(first: number, count: number, node: PlannerNode): number {
    const read = range(active, first, count) + range(cache, first, count) * costs.contextTokensRead;
    return (read / node.bandwidthBytesPerSecond) * 1000 + costs.stageOverheadMs;
  }
  return {
    model,
    layers,
    costs,
    engine,
    context,
    slots,
    kvBytesPerElement: perElement,
    draftBytes,
    layerCount,
    uniform,
    widest,
    memoryBytes,
    headOnlyBytes,
    computeMs,
    headMs: (head) => (model.outputBytes / head.bandwidthBytesPerSecond) * 1000,
    stage(node, head, first, count, links) {
      const isHead = node.name === head.name;
      return {
        node: node.name,
        firstLayer: first,
        lastLayer: first + count - 1,
        weightBytes: range(weight, first, count),
        kvBytes: kvBytes(first, count),
        bufferBytes: buffers(count, isHead),
        memoryBytes: memoryBytes(first, count, isHead),
        budgetBytes: node.memoryBytes,
        computeMs: computeMs(first, count, node),
        hopMs: isHead ? 0 : hopMs(links, head.name, node.name, model.hiddenBytes),
      };
    },
  };
}

/** One round trip from the head to a stage with a hidden state each way. */
export function hopMs(links: LinkTable, a: string, b: string, hiddenBytes: number): number {
  return roundTripMs(neighboursOf(links, a).get(b) ?? links, hiddenBytes);
}
