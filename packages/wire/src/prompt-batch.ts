import type { EmbeddingUse } from "./model-profile.ts";

/** Tokens of a prompt that llama.cpp takes at a time unless told otherwise: its default micro-batch. */
export const MICRO_BATCH_TOKENS = 512;

/**
 * Tokens of a prompt that stages take at a time, by the number of stages: fewer than llama.cpp's 512 keep all of them at work at once. With n
 * batches k stages do n ÷ (n + k − 1) of what they could; a batch so small that its weights are read more often costs more than that
 * (docs/bench/prefill.md).
 */
export function promptBatchTokens(stages: number): number {
  if (stages < 2) return MICRO_BATCH_TOKENS;
  if (stages === 2) return 256;
  return stages <= 4 ? 128 : 64;
}

/** llama.cpp rounds the tokens of a cache up to this (v0.5.0: `GGML_PAD(n_ctx, 256)`). */
const CELLS_STEP = 256;

/** Tokens of context as llama.cpp rounds them up. */
export const cellsFor = (tokens: number): number => Math.ceil(tokens / CELLS_STEP) * CELLS_STEP;

/** Tokens that a model which makes embeddings takes at a time: a text that has to be computed in one piece must fit whole. */
export function textBatchTokens({ whole }: EmbeddingUse, context: number, stages: number): number {
  return whole ? cellsFor(context) : promptBatchTokens(stages);
}
