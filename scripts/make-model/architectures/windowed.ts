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
import { bias, constant, norm } from "../tensor.ts";

const windowKeys = ({ window, windowPattern }: Shape): Keys => ({
  "attention.sliding_window": window,
  ...(windowPattern > 0 ? { "attention.sliding_window_pattern": windowPattern } : {}),
});

/** Gemma 3: five layers of six see a window only; embeddings serve as output. */
export const gemma3: Architecture = {
  typical: () => ({ window: 512, tied: true }),
  problem: ({ tied, window }) => (window < 1 ? "a window has at least one token" : tied ? null : "a gemma3 has tied embeddings"),
  keys: (shape) => ({ ...commonKeys(shape), ...windowKeys(shape) }),
  layer(shape, index) {
    const block = `blk.${index}`;
    return [
      norm(`${block}.attn_norm`, shape.width),
      ...attention(block, shape),
      ...headNorms(block, shape),
      norm(`${block}.post_attention_norm`, shape.width),
      norm(`${block}.ffn_norm`, shape.width),
      ...feedForward(block, shape.width, shape.feedForward),
      norm(`${block}.post_ffw_norm`, shape.width),
    ];
  },
};

/** gpt-oss: every other layer sees a window only; experts with biases, attention with sinks. */
export const gptOss: Architecture = {
  typical: () => ({ window: 128, experts: 8, expertsUsed: 2 }),
  problem: ({ tied }) => (tied ? "a gpt-oss has an output matrix of its own" : null),
  keys: (shape) => ({ ...commonKeys(shape), ...expertKeys(shape), ...windowKeys(shape) }),
  layer(shape, index) {
    const block = `blk.${index}`;
    const { width, heads, kvHeads, headWidth, expertFeedForward } = shape;
    return [
      norm(`${block}.attn_norm`, width),
      ...attention(block, shape),
      bias(`${block}.attn_q`, heads * headWidth),
      bias(`${block}.attn_k`, kvHeads * headWidth),
      bias(`${block}.attn_v`, kvHeads * headWidth),
      bias(`${block}.attn_output`, width),
      constant(`${block}.attn_sinks.weight`, 0, heads),
      norm(`${block}.post_attention_norm`, width),
      ...experts(block, shape),
      bias(`${block}.ffn_gate_inp`, shape.experts),
      bias(`${block}.ffn_gate_exps`, expertFeedForward, shape.experts),
      bias(`${block}.ffn_up_exps`, expertFeedForward, shape.experts),
      bias(`${block}.ffn_down_exps`, width, shape.experts),
    ];
  },
};
