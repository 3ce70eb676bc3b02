import { attention, commonKeys, expertKeys, experts, feedForward, headNorms, type Architecture } from "../architecture.ts";
import { norm } from "../tensor.ts";

/** Llama and Mistral; with `--experts` Mixtral. */
export const llama: Architecture = {
  typical: ({ experts: count = 0 }) => ({ experts: count, expertsUsed: Math.min(count, 2) }),
  keys(shape) {
    const { expert_feed_forward_length: _, ...counts } = expertKeys(shape);
    return { ...commonKeys(shape), ...(shape.experts > 0 ? counts : {}) };
  },
  layer(shape, index) {
    const block = `blk.${index}`;
    return [
      norm(`${block}.attn_norm`, shape.width),
      ...attention(block, shape),
      norm(`${block}.ffn_norm`, shape.width),
      // Mixtral's experts are as wide as a dense block would be.
      ...(shape.experts > 0 ? experts(block, shape, shape.feedForward) : feedForward(block, shape.width, shape.feedForward)),
    ];
  },
};

/** Qwen3, dense. */
export const qwen3: Architecture = {
  typical: () => ({}),
  keys: commonKeys,
  layer(shape, index) {
    const block = `blk.${index}`;
    return [
      norm(`${block}.attn_norm`, shape.width),
      ...attention(block, shape),
      ...headNorms(block, shape),
      norm(`${block}.ffn_norm`, shape.width),
      ...feedForward(block, shape.width, shape.feedForward),
    ];
  },
};

/** Qwen3 with a mixture of experts. */
export const qwen3moe: Architecture = {
  typical: () => ({ experts: 8, expertsUsed: 2 }),
  keys: (shape) => ({ ...commonKeys(shape), ...expertKeys(shape) }),
  layer(shape, index) {
    const block = `blk.${index}`;
    return [
      norm(`${block}.attn_norm`, shape.width),
      ...attention(block, shape),
      ...headNorms(block, shape),
      norm(`${block}.ffn_norm`, shape.width),
      ...experts(block, shape),
    ];
  },
};
