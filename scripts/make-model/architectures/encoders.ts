import { attention, feedForward, type Architecture, type Keys } from "../architecture.ts";
import type { Shape } from "../shape.ts";
import { bias, matrix, norm, plain, type Tensor } from "../tensor.ts";

/** Kinds of token: the first and the second text of a pair. */
const TOKEN_TYPES = 2;
const MEAN_POOLING = 1;

const encoderKeys = (shape: Shape): Keys => ({
  context_length: shape.context,
  embedding_length: shape.width,
  block_count: shape.layers,
  feed_forward_length: shape.feedForward,
  "attention.head_count": shape.heads,
  "attention.layer_norm_epsilon": { float: 1e-12 },
  "attention.causal": false,
  pooling_type: MEAN_POOLING,
});

/** Norms after a block instead of before it, with a bias. */
const normWithBias = (name: string, width: number): readonly Tensor[] => [norm(name, width), bias(name, width)];

const normed = (block: string, width: number): readonly Tensor[] => [
  ...normWithBias(`${block}.attn_output_norm`, width),
  ...normWithBias(`${block}.layer_output_norm`, width),
];

const problem = ({ heads, headWidth, width }: Shape): string | null =>
  heads * headWidth === width ? null : `${heads} heads of ${headWidth} are not ${width} wide`;

const encoderShape = ({ width, heads }: { readonly width: number; readonly heads?: number }) => ({
  heads: heads ?? Math.max(1, width / 64),
  kvHeads: heads ?? Math.max(1, width / 64),
  headWidth: width / (heads ?? Math.max(1, width / 64)),
  feedForward: 4 * width,
  context: 512,
});

/** BERT: positions are learned, the feed-forward block has no gate. */
export const bert: Architecture = {
  typical: encoderShape,
  problem,
  keys: encoderKeys,
  plainKeys: { "tokenizer.ggml.token_type_count": TOKEN_TYPES },
  layer(shape, index) {
    const block = `blk.${index}`;
    return [
      ...attention(block, shape),
      ...["attn_q", "attn_k", "attn_v", "attn_output"].map((name) => bias(`${block}.${name}`, shape.width)),
      matrix(`${block}.ffn_up`, shape.width, shape.feedForward),
      bias(`${block}.ffn_up`, shape.feedForward),
      matrix(`${block}.ffn_down`, shape.feedForward, shape.width),
      bias(`${block}.ffn_down`, shape.width),
      ...normed(block, shape.width),
    ];
  },
  ends: ({ width, context }) => [
    plain("position_embd", width, context),
    plain("token_types", width, TOKEN_TYPES),
    ...normWithBias("token_embd_norm", width),
  ],
};

/** Nomic's BERT: positions are rotated, the feed-forward block has a gate. */
export const nomicBert: Architecture = {
  typical: (given) => ({ ...encoderShape(given), context: 2048 }),
  problem,
  keys: (shape) => ({ ...encoderKeys(shape), "rope.freq_base": { float: 1000 } }),
  plainKeys: { "tokenizer.ggml.token_type_count": TOKEN_TYPES },
  layer(shape, index) {
    const block = `blk.${index}`;
    return [
      matrix(`${block}.attn_qkv`, shape.width, 3 * shape.width),
      matrix(`${block}.attn_output`, shape.width, shape.width),
      ...feedForward(block, shape.width, shape.feedForward),
      ...normed(block, shape.width),
    ];
  },
  ends: ({ width }) => [plain("token_types", width, TOKEN_TYPES), ...normWithBias("token_embd_norm", width)],
};
