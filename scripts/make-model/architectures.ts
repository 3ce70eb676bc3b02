import type { Architecture } from "./architecture.ts";
import { deepseek2 } from "./architectures/deepseek2.ts";
import { bert, nomicBert } from "./architectures/encoders.ts";
import { llama, qwen3, qwen3moe } from "./architectures/llama.ts";
import { graniteHybrid, lfm2, mamba2, qwen3next } from "./architectures/recurrent.ts";
import { gemma3, gptOss } from "./architectures/windowed.ts";

/** By the name in `general.architecture`. */
export const ARCHITECTURES: ReadonlyMap<string, Architecture> = new Map<string, Architecture>([
  ["llama", llama],
  ["qwen3", qwen3],
  ["qwen3moe", qwen3moe],
  ["deepseek2", deepseek2],
  ["gemma3", gemma3],
  ["gpt-oss", gptOss],
  ["qwen3next", qwen3next],
  ["granitehybrid", graniteHybrid],
  ["mamba2", mamba2],
  ["lfm2", lfm2],
  ["bert", bert],
  ["nomic-bert", nomicBert],
]);
