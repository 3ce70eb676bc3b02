import type { ModelProfile } from "@clusterd/wire";
import { isEncoder } from "./embedding-use.ts";
import type { GuardedHeader } from "./header-guard.ts";
import type { HeaderKeys } from "./header-keys.ts";

/** Heads of such widths are rotated before they are quantised. */
const ROTATED_STEP = 64;

/** A layer's tensors as dimensions by name without `blk.N.` and `.weight`. */
type LayerShapes = ReadonlyMap<string, readonly number[]>;

/**
 * Elements of intermediate results that llama.cpp's allocator (`ggml_gallocr`) sets aside for a token in the largest part of a layer, with
 * flash attention on (but for `unfused`). The sums follow what lives at once (the residual stream, a block's input, its inner widths side by side) and
 * the gaps that parts of other sizes leave; measured with v0.5.0 on shapes in real models' proportions.
 */
export function activationElements(
  tensors: GuardedHeader["tensors"],
  keys: HeaderKeys,
  layerCount: number,
): ModelProfile["activations"] {
  const layers = Array.from({ length: layerCount }, () => new Map<string, readonly number[]>());
  for (const { name, dimensions } of tensors) {
    const [, layer, part] = /^blk\.(\d+)\.(.+)\.weight$/.exec(name) ?? [];
    if (part !== undefined) layers[Number(layer)]?.set(part, dimensions);
  }
  const isHybrid = layers.some((shapes) => shapes.has("ssm_conv1d") || shapes.has("shortconv.conv"));
  const width = keys.whole("embedding_length");
  const most = (elements: (shapes: LayerShapes, layer: number) => number): number =>
    Math.round(Math.max(...layers.map(elements)));
  const where = (place: Place): number =>
    most((shapes, layer) =>
      Math.max(
        feedForward(shapes, keys, { layer, width, isHybrid, place }),
        latentAttention(shapes, keys, { layer, width, isHybrid, place }),
      ),
    );
  const unfused = (place: Place): number =>
    most((shapes, layer) => unfusedAttention(shapes, keys, { layer, width, isHybrid, place }));
  return {
    f16Cache: where("head"),
    quantisedCache: where("head, quantised"),
    worker: where("worker"),
    recurrent: most((shapes) => recurrence(shapes, keys, width)),
    unfused: {
      ...{ head: unfused("head"), worker: unfused("worker") },
      rows: most((_, layer) => keys.perLayer("attention.head_count", layer) ?? 0),
      values: most((shapes, layer) => transposedValues(shapes, keys, layer)),
      copied: most((shapes) => shapes.get("attn_k_b")?.[1] ?? 0),
    },
  };
}

/** Queries and the results for them beside the residual stream, a block's input and its result. */
function unfusedAttention(shapes: LayerShapes, keys: HeaderKeys, situation: Situation): number {
  const latent = latentAttention(shapes, keys, { ...situation, place: "worker" });
  if (latent > 0) return latent;
  const { layer, width, place } = situation;
  // A norm behind the block makes its result in the place of its input.
  const streams = (place === "worker" ? 2 : 3) - (shapes.has("post_ffw_norm") ? 1 : 0);
  return streams * width + 2 * queryWidth(shapes, keys, layer);
}

/** Each element of a token's values is put in its place by an index of its own; latent ones are part of the keys. */
function transposedValues(shapes: LayerShapes, keys: HeaderKeys, layer: number): number {
  if (shapes.has("attn_k_b")) return 0;
  const heads = keys.perLayer("attention.head_count_kv", layer) ?? keys.perLayer("attention.head_count", layer) ?? 0;
  const queries = keys.perLayer("attention.head_count", layer) ?? 0;
  return heads * (keys.optional("attention.value_length") ?? keys.whole("embedding_length") / Math.max(1, queries));
}

/** Where a layer is computed: a worker gets the residual stream as an input; on the head a quantised cache changes what is free when. */
type Place = "head" | "head, quantised" | "worker";

interface Situation {
  readonly layer: number;
  readonly width: number;
  /** Whether the model has recurrent layers. */
  readonly isHybrid: boolean;
  readonly place: Place;
}

/** Matrices of a layer, by what follows the row. */
const columns = (shapes: LayerShapes, ...names: readonly string[]): number => {
  for (const name of names) {
    const found = shapes.get(name)?.[1];
    if (found !== undefined) return found;
  }
  return 0;
};

function queryWidth(shapes: LayerShapes, keys: HeaderKeys, layer: number): number {
  // Latent queries are small besides what is made of them.
  if (shapes.has("attn_kv_a_mqa")) return 0;
  const heads = keys.perLayer("attention.head_count", layer) ?? 0;
  return (
    columns(shapes, "attn_q") ||
    heads * (keys.optional("attention.key_length") ?? keys.whole("embedding_length") / Math.max(1, heads))
  );
}

/** The residual stream, a block's input and result; gate, up and their product, for every expert used. */
function feedForward(shapes: LayerShapes, keys: HeaderKeys, { layer, width, isHybrid, place }: Situation): number {
  const query = isHybrid ? 0 : queryWidth(shapes, keys, layer);
  const fused = columns(shapes, "ffn_gate_up_exps");
  const expert = fused > 0 ? fused / 2 : columns(shapes, "ffn_up_exps");
  if (expert > 0) {
    const used = keys.perLayer("expert_used_count", layer) ?? 1;
    // Beside the routed experts a shared one, in hybrids, keeps the block's input alive.
    const shared = isHybrid && place !== "worker" && shapes.has("ffn_up_shexp") ? width : 0;
    // gpt-oss adds biases in place, and its experts' results fit where their gates were.
    const result = keys.architecture === "gpt-oss" ? 0 : width;
    return 3 * width + query + shared + used * (result + 3 * expert);
  }
  if (isEncoder(keys)) return (place === "worker" ? 2 : 3) * width + encoderInner(shapes, keys, layer);
  // Without a gate of its own, gate and up come as one matrix, or there is none.
  const inner = (shapes.has("ffn_gate") ? 3 : 2) * columns(shapes, "ffn_up");
  if (place === "worker") return 2 * width + inner;
  // Queries, keys and values are rotated before they are quantised.
  const rotates = place === "head, quantised" && (keys.optional("attention.key_length") ?? 0) % ROTATED_STEP === 0;
  const queries = rotates ? (shapes.has("post_ffw_norm") ? 2 : 0) : 1;
  return 3 * width + queries * query + inner;
}

/** Without a cache, queries are gone by then; a block without a gate works in place, and one matrix may be gate and up in one. */
function encoderInner(shapes: LayerShapes, keys: HeaderKeys, layer: number): number {
  const up = columns(shapes, "ffn_up");
  if (shapes.has("ffn_gate")) return 3 * up;
  return up === keys.perLayer("feed_forward_length", layer) ? up : 2 * up;
}

/** Latent attention: queries in the latent space of the keys and the result in it, for every head. */
function latentAttention(shapes: LayerShapes, keys: HeaderKeys, { layer, width, place }: Situation): number {
  const [plain = 0, rank = 0] = shapes.get("attn_k_b") ?? [];
  if (rank === 0) return 0;
  const heads = keys.perLayer("attention.head_count", layer) ?? 0;
  const rotary = keys.optional("rope.dimension_count") ?? 0;
  return heads * (2 * rank + plain + 3 * rotary) + (place === "worker" ? 3 : 5) * width + columns(shapes, "attn_q_a");
}

/** What goes through a recurrent layer's convolution, several times, and what comes out of the state. */
function recurrence(shapes: LayerShapes, keys: HeaderKeys, width: number): number {
  const convolved = columns(shapes, "ssm_conv1d");
  if (convolved === 0) return shapes.has("time_mix_key") ? 10 * width : 0;
  const inner = keys.optional("ssm.inner_size") ?? convolved;
  const heads = keys.optional("ssm.time_step_rank") ?? 0;
  const isDeltaNet = shapes.has("ssm_ba") || shapes.has("ssm_beta_alpha") || shapes.has("ssm_beta") || shapes.has("attn_qkv");
  return isDeltaNet ? 3 * convolved + inner + 4 * width : 4 * convolved + 2 * inner + heads + width;
}
