import type { PartialShape, Shape } from "./shape.ts";
import { matrix, norm, plain, type Tensor } from "./tensor.ts";

/** A header's value under the architecture's name: whole numbers, floats (`{ float }`), or one number per layer. */
export type KeyValue = number | boolean | { readonly float: number } | readonly number[];
export type Keys = Readonly<Record<string, KeyValue>>;

/** How llama.cpp wants the files of one architecture. */
export interface Architecture {
  /** What is usual for it, given the rest. */
  typical(given: PartialShape & { readonly width: number }): PartialShape;
  /** Why such a shape cannot be, or null. */
  problem?(shape: Shape): string | null;
  keys(shape: Shape): Keys;
  layer(shape: Shape, index: number): readonly Tensor[];
  /** Name of the norm before the output, where it is not the usual one. */
  readonly outputNorm?: string;
  /** Keys without the architecture's name before them. */
  readonly plainKeys?: Keys;
  /** What stands besides the embedding and the layers, where it is not a norm and an output matrix. */
  ends?(shape: Shape): readonly Tensor[];
}

const EPSILON = { float: 1e-5 };

/** Keys that all transformers have. */
export const commonKeys = (shape: Shape): Keys => ({
  context_length: shape.context,
  embedding_length: shape.width,
  block_count: shape.layers,
  feed_forward_length: shape.feedForward,
  "attention.head_count": shape.heads,
  "attention.head_count_kv": shape.kvHeads,
  "attention.key_length": shape.headWidth,
  "attention.value_length": shape.headWidth,
  "attention.layer_norm_rms_epsilon": EPSILON,
  "rope.dimension_count": shape.ropeWidth,
  "rope.freq_base": { float: 10_000 },
});

export const expertKeys = (shape: Shape): Keys => ({
  expert_count: shape.experts,
  expert_used_count: shape.expertsUsed,
  expert_feed_forward_length: shape.expertFeedForward,
});

/** Query, key, value and output matrices of grouped-query attention. */
export const attention = (block: string, { width, heads, kvHeads, headWidth }: Shape): readonly Tensor[] => [
  matrix(`${block}.attn_q`, width, heads * headWidth),
  matrix(`${block}.attn_k`, width, kvHeads * headWidth),
  matrix(`${block}.attn_v`, width, kvHeads * headWidth),
  matrix(`${block}.attn_output`, heads * headWidth, width),
];

export const headNorms = (block: string, { headWidth }: Shape): readonly Tensor[] => [
  norm(`${block}.attn_q_norm`, headWidth),
  norm(`${block}.attn_k_norm`, headWidth),
];

export const feedForward = (block: string, width: number, inner: number, ending = ""): readonly Tensor[] => [
  matrix(`${block}.ffn_gate${ending}`, width, inner),
  matrix(`${block}.ffn_up${ending}`, width, inner),
  matrix(`${block}.ffn_down${ending}`, inner, width),
];

export const experts = (block: string, shape: Shape, inner: number = shape.expertFeedForward): readonly Tensor[] => [
  plain(`${block}.ffn_gate_inp`, shape.width, shape.experts),
  matrix(`${block}.ffn_gate_exps`, shape.width, inner, shape.experts),
  matrix(`${block}.ffn_up_exps`, shape.width, inner, shape.experts),
  matrix(`${block}.ffn_down_exps`, inner, shape.width, shape.experts),
];
