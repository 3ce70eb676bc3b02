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
