import { commonKeys, expertKeys, experts, feedForward, type Architecture } from "../architecture.ts";
import type { Shape } from "../shape.ts";
import { bias, matrix, norm, type Tensor } from "../tensor.ts";

const SIGMOID_GATING = 2;
/** llama.cpp knows the small DeepSeek-V2 by its layers, and then reads no latent queries. */
const LITE_LAYERS: ReadonlySet<number> = new Set([26, 27]);

/** Queries, and keys and values compressed into one latent vector per token, as absorbed for a cache of that vector alone. */
function latentAttention(block: string, shape: Shape): readonly Tensor[] {
  const { width, heads, queryRank, kvRank, noPositionWidth, ropeWidth, valueWidth } = shape;
  const queryWidth = heads * (noPositionWidth + ropeWidth);
  return [
    ...(queryRank > 0
      ? [
          matrix(`${block}.attn_q_a`, width, queryRank),
          norm(`${block}.attn_q_a_norm`, queryRank),
          matrix(`${block}.attn_q_b`, queryRank, queryWidth),
        ]
      : [matrix(`${block}.attn_q`, width, queryWidth)]),
    matrix(`${block}.attn_kv_a_mqa`, width, kvRank + ropeWidth),
    norm(`${block}.attn_kv_a_norm`, kvRank),
    matrix(`${block}.attn_k_b`, noPositionWidth, kvRank, heads),
    matrix(`${block}.attn_v_b`, kvRank, valueWidth, heads),
    matrix(`${block}.attn_output`, heads * valueWidth, width),
  ];
}

/** What a layer for later tokens has besides: it joins the last hidden state with the next token's embedding. */
const nextTokenParts = (block: string, { width }: Shape): readonly Tensor[] => [
  matrix(`${block}.nextn.eh_proj`, 2 * width, width),
  norm(`${block}.nextn.enorm`, width),
  norm(`${block}.nextn.hnorm`, width),
];

/** DeepSeek-V2, V3 and R1, Kimi K2: latent attention, mixture of experts with a shared one, dense layers first. */
export const deepseek2: Architecture = {
  typical: ({ width, layers = 24 }) => ({
    experts: 8,
    expertsUsed: 2,
    sharedExperts: 1,
    denseLead: Math.min(3, layers - 1),
    queryRank: LITE_LAYERS.has(layers) ? 0 : Math.max(32, Math.floor(width / 4 / 32) * 32),
    kvRank: Math.max(32, Math.floor(width / 8 / 32) * 32),
    ropeWidth: 32,
    noPositionWidth: 32,
    valueWidth: 32,
    heads: Math.max(2, Math.floor(width / 64)),
  }),
  problem: ({ layers, queryRank }) =>
    LITE_LAYERS.has(layers) === queryRank > 0
      ? "llama.cpp takes a deepseek2 of 26 or 27 layers for the small one, which has no latent queries (--query-rank 0), and all others to have them"
      : null,
  keys: (shape) => ({
    ...commonKeys(shape),
    ...expertKeys(shape),
    block_count: shape.layers + shape.nextTokenLayers,
    ...(shape.nextTokenLayers > 0 ? { nextn_predict_layers: shape.nextTokenLayers } : {}),
    "attention.head_count_kv": 1,
    "attention.key_length": shape.kvRank + shape.ropeWidth,
    "attention.value_length": shape.kvRank,
    "attention.key_length_mla": shape.noPositionWidth + shape.ropeWidth,
    "attention.value_length_mla": shape.valueWidth,
    "attention.kv_lora_rank": shape.kvRank,
    ...(shape.queryRank > 0 ? { "attention.q_lora_rank": shape.queryRank } : {}),
    leading_dense_block_count: shape.denseLead,
    expert_shared_count: shape.sharedExperts,
    expert_weights_scale: { float: 1 },
    expert_weights_norm: true,
    expert_gating_func: SIGMOID_GATING,
  }),
  layer(shape, index) {
    const block = `blk.${index}`;
    const own = shape.expertFeedForward * shape.sharedExperts;
    return [
      norm(`${block}.attn_norm`, shape.width),
      ...latentAttention(block, shape),
      norm(`${block}.ffn_norm`, shape.width),
      ...(index < shape.layers ? [] : nextTokenParts(block, shape)),
      ...(index < shape.denseLead
        ? feedForward(block, shape.width, shape.feedForward)
        : [
            ...experts(block, shape),
            bias(`${block}.exp_probs_b`, shape.experts),
            ...feedForward(block, shape.width, own, "_shexp"),
          ]),
    ];
  },
};
