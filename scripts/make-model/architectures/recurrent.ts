import {
  attention,
  commonKeys,
  expertKeys,
  experts,
  feedForward,
  headNorms,
  type Architecture,
  type Keys,
} from "../architecture.ts";
import type { Shape } from "../shape.ts";
import { bias, constant, matrix, norm, plain, type Tensor } from "../tensor.ts";

/** Decay of a recurrent state: negative, as the exponent llama.cpp takes. */
const DECAY = -1;
const hasAttention = (shape: Shape, index: number): boolean => (index + 1) % shape.attentionEvery === 0;

const stateKeys = (shape: Shape): Keys => ({
  "ssm.conv_kernel": shape.convWidth,
  "ssm.inner_size": shape.innerWidth,
  "ssm.state_size": shape.stateWidth,
  "ssm.time_step_rank": shape.stateHeads,
  "ssm.group_count": shape.stateGroups,
});

/** Key/value heads by layer, 0 where a layer has recurrent state instead: how most headers say which layers are which. */
const kvHeadsByLayer = (shape: Shape): readonly number[] =>
  Array.from({ length: shape.layers }, (_, index) => (hasAttention(shape, index) ? shape.kvHeads : 0));

/** The mixer of Mamba 2. */
function mamba2Layer(block: string, shape: Shape): readonly Tensor[] {
  const { width, innerWidth, stateWidth, stateHeads, stateGroups, convWidth } = shape;
  const convolved = innerWidth + 2 * stateGroups * stateWidth;
  return [
    matrix(`${block}.ssm_in`, width, innerWidth + convolved + stateHeads),
    plain(`${block}.ssm_conv1d`, convWidth, convolved),
    bias(`${block}.ssm_conv1d`, convolved),
    bias(`${block}.ssm_dt`, stateHeads),
    constant(`${block}.ssm_a`, DECAY, 1, stateHeads),
    constant(`${block}.ssm_d`, 1, 1, stateHeads),
    norm(`${block}.ssm_norm`, innerWidth / stateGroups, stateGroups),
    matrix(`${block}.ssm_out`, innerWidth, width),
  ];
}

const innerProblem = ({ innerWidth, stateHeads, stateGroups }: Shape): string | null =>
  innerWidth % stateHeads === 0 && innerWidth % stateGroups === 0
    ? null
    : `an inner width of ${innerWidth} does not divide into ${stateHeads} heads and ${stateGroups} groups`;

const mambaTypical = (width: number): { innerWidth: number; stateHeads: number } & Record<string, number> => ({
  convWidth: 4,
  innerWidth: 2 * width,
  stateWidth: 64,
  stateHeads: Math.max(1, Math.floor((2 * width) / 64)),
  stateGroups: 1,
});

/** Mamba 2: recurrent layers only. */
export const mamba2: Architecture = {
  typical: ({ width }) => ({ ...mambaTypical(width), heads: 0, kvHeads: 0 }),
  problem: innerProblem,
  keys: (shape) => ({
    context_length: shape.context,
    embedding_length: shape.width,
    block_count: shape.layers,
    feed_forward_length: 0,
    "attention.head_count": 0,
    "attention.layer_norm_rms_epsilon": { float: 1e-5 },
    ...stateKeys(shape),
  }),
  layer: (shape, index) => [norm(`blk.${index}.attn_norm`, shape.width), ...mamba2Layer(`blk.${index}`, shape)],
};

/** Granite 4 hybrids: Mamba 2 with attention now and then; dense, or with `--experts` a mixture and a shared expert. */
export const graniteHybrid: Architecture = {
  typical: ({ width, experts: count = 0 }) => ({
    ...mambaTypical(width),
    attentionEvery: 4,
    experts: count,
    expertsUsed: Math.min(count, 2),
    sharedFeedForward: count > 0 ? Math.max(32, Math.ceil(width / 2 / 32) * 32) : 0,
  }),
  problem: (shape) =>
    shape.innerWidth === 2 * shape.width ? innerProblem(shape) : "the inner width of a granitehybrid is twice its width",
  keys: (shape) => ({
    ...commonKeys(shape),
    ...stateKeys(shape),
    "attention.head_count_kv": kvHeadsByLayer(shape),
    ...(shape.experts > 0
      ? {
          feed_forward_length: shape.expertFeedForward,
          expert_count: shape.experts,
          expert_used_count: shape.expertsUsed,
          expert_shared_feed_forward_length: shape.sharedFeedForward,
        }
      : {}),
  }),
  layer(shape, index) {
    const block = `blk.${index}`;
    return [
      norm(`${block}.attn_norm`, shape.width),
      ...(hasAttention(shape, index) ? attention(block, shape) : mamba2Layer(block, shape)),
      norm(`${block}.ffn_norm`, shape.width),
      ...(shape.experts > 0
        ? [...experts(block, shape), ...feedForward(block, shape.width, shape.sharedFeedForward, "_shexp")]
        : feedForward(block, shape.width, shape.feedForward)),
    ];
  },
};

/** Qwen3-Next: three layers of a gated delta net, one of attention; experts with a shared one in all. */
export const qwen3next: Architecture = {
  typical: () => ({
    attentionEvery: 4,
    convWidth: 4,
    stateWidth: 64,
    stateGroups: 2,
    stateHeads: 4,
    innerWidth: 256,
    ropeWidth: 32,
    experts: 8,
    expertsUsed: 2,
    sharedFeedForward: 64,
  }),
  problem: ({ innerWidth, stateWidth, stateHeads, stateGroups }) =>
    innerWidth === stateWidth * stateHeads && stateHeads % stateGroups === 0
      ? null
      : "in a qwen3next the inner width is the state's width times its heads, and groups divide the heads",
  keys: (shape) => ({
    ...commonKeys(shape),
    ...expertKeys(shape),
    ...stateKeys(shape),
    full_attention_interval: shape.attentionEvery,
    expert_shared_feed_forward_length: shape.sharedFeedForward,
  }),
  layer(shape, index) {
    const block = `blk.${index}`;
    const { width, heads, kvHeads, headWidth, stateWidth, stateGroups, innerWidth, stateHeads, convWidth } = shape;
    const keys = 2 * stateGroups * stateWidth;
    const mixer = hasAttention(shape, index)
      ? [
          // Queries and, beside each, a gate.
          matrix(`${block}.attn_q`, width, 2 * heads * headWidth),
          matrix(`${block}.attn_k`, width, kvHeads * headWidth),
          matrix(`${block}.attn_v`, width, kvHeads * headWidth),
          matrix(`${block}.attn_output`, heads * headWidth, width),
          ...headNorms(block, shape),
        ]
      : [
          matrix(`${block}.attn_qkv`, width, keys + innerWidth),
          matrix(`${block}.attn_gate`, width, innerWidth),
          plain(`${block}.ssm_conv1d`, convWidth, keys + innerWidth),
          bias(`${block}.ssm_dt`, stateHeads),
          constant(`${block}.ssm_a`, DECAY, stateHeads),
          matrix(`${block}.ssm_ba`, width, 2 * stateHeads),
          norm(`${block}.ssm_norm`, stateWidth),
          matrix(`${block}.ssm_out`, innerWidth, width),
        ];
    return [
      norm(`${block}.attn_norm`, width),
      ...mixer,
      norm(`${block}.post_attention_norm`, width),
      ...experts(block, shape),
      plain(`${block}.ffn_gate_inp_shexp`, width),
      ...feedForward(block, width, shape.sharedFeedForward, "_shexp"),
    ];
  },
};

/** LFM2: short convolutions with attention now and then. */
export const lfm2: Architecture = {
  typical: ({ width }) => ({ attentionEvery: 4, convWidth: 3, headWidth: width >= 512 ? 64 : 32, tied: true }),
  problem: ({ heads, headWidth, width }) =>
    heads * headWidth === width ? null : "in an lfm2 the heads together are as wide as the model",
  outputNorm: "token_embd_norm",
  keys: (shape) => ({
    ...commonKeys(shape),
    "attention.head_count_kv": kvHeadsByLayer(shape),
    "shortconv.l_cache": shape.convWidth,
  }),
  layer(shape, index) {
    const block = `blk.${index}`;
    const { width, convWidth } = shape;
    return [
      norm(`${block}.ffn_norm`, width),
      ...feedForward(block, width, shape.feedForward),
      norm(`${block}.attn_norm`, width),
      ...(hasAttention(shape, index)
        ? [...attention(block, shape), ...headNorms(block, shape)]
        : [
            plain(`${block}.shortconv.conv`, convWidth, width),
            matrix(`${block}.shortconv.in_proj`, width, 3 * width),
            matrix(`${block}.shortconv.out_proj`, width, width),
          ]),
    ];
  },
};
