import type { PartialShape } from "./shape.ts";

/** A real model's shape, from its published configuration. */
export interface Preset {
  readonly architecture: string;
  readonly shape: PartialShape;
}

const deepseek: PartialShape = {
  layers: 61,
  width: 7168,
  queryRank: 1536,
  kvRank: 512,
  ropeWidth: 64,
  noPositionWidth: 128,
  valueWidth: 128,
  feedForward: 18_432,
  expertsUsed: 8,
  sharedExperts: 1,
  expertFeedForward: 2048,
};
const gptOss: PartialShape = {
  width: 2880,
  heads: 64,
  kvHeads: 8,
  headWidth: 64,
  expertsUsed: 4,
  expertFeedForward: 2880,
  feedForward: 2880,
  window: 128,
  vocab: 201_088,
  context: 131_072,
};
const qwen3moe: PartialShape = { kvHeads: 4, headWidth: 128, experts: 128, expertsUsed: 8, vocab: 151_936, context: 40_960 };
const llama3: PartialShape = { kvHeads: 8, headWidth: 128, vocab: 128_256, context: 131_072 };

export const PRESETS: ReadonlyMap<string, Preset> = new Map<string, Preset>([
  ["llama-3.1-8b", { architecture: "llama", shape: { ...llama3, layers: 32, width: 4096, heads: 32, feedForward: 14_336 } }],
  ["llama-3.3-70b", { architecture: "llama", shape: { ...llama3, layers: 80, width: 8192, heads: 64, feedForward: 28_672 } }],
  [
    "qwen3-30b-a3b",
    {
      architecture: "qwen3moe",
      shape: { ...qwen3moe, layers: 48, width: 2048, heads: 32, feedForward: 6144, expertFeedForward: 768 },
    },
  ],
  [
    "qwen3-235b-a22b",
    {
      architecture: "qwen3moe",
      shape: { ...qwen3moe, layers: 94, width: 4096, heads: 64, feedForward: 12_288, expertFeedForward: 1536 },
    },
  ],
  [
    "deepseek-v3",
    {
      architecture: "deepseek2",
      shape: { ...deepseek, heads: 128, denseLead: 3, experts: 256, vocab: 129_280, context: 163_840 },
    },
  ],
  [
    "kimi-k2",
    {
      architecture: "deepseek2",
      shape: { ...deepseek, heads: 64, denseLead: 1, experts: 384, vocab: 163_840, context: 131_072 },
    },
  ],
  ["gpt-oss-20b", { architecture: "gpt-oss", shape: { ...gptOss, layers: 24, experts: 32 } }],
  ["gpt-oss-120b", { architecture: "gpt-oss", shape: { ...gptOss, layers: 36, experts: 128 } }],
  [
    "gemma-3-27b",
    {
      architecture: "gemma3",
      shape: {
        layers: 62,
        width: 5376,
        heads: 32,
        kvHeads: 16,
        headWidth: 128,
        feedForward: 21_504,
        window: 1024,
        vocab: 262_208,
        context: 131_072,
      },
    },
  ],
  [
    "qwen3-next-80b",
    {
      architecture: "qwen3next",
      shape: {
        layers: 48,
        width: 2048,
        heads: 16,
        kvHeads: 2,
        headWidth: 256,
        ropeWidth: 64,
        feedForward: 5120,
        experts: 512,
        expertsUsed: 10,
        expertFeedForward: 512,
        sharedFeedForward: 512,
        attentionEvery: 4,
        convWidth: 4,
        innerWidth: 4096,
        stateWidth: 128,
        stateHeads: 32,
        stateGroups: 16,
        vocab: 151_936,
        context: 262_144,
      },
    },
  ],
  [
    "granite-4-h-small",
    {
      architecture: "granitehybrid",
      shape: {
        layers: 40,
        width: 4096,
        heads: 32,
        kvHeads: 8,
        headWidth: 128,
        experts: 72,
        expertsUsed: 10,
        expertFeedForward: 768,
        sharedFeedForward: 1536,
        attentionEvery: 10,
        convWidth: 4,
        innerWidth: 8192,
        stateWidth: 128,
        stateHeads: 128,
        stateGroups: 1,
        vocab: 100_352,
        context: 131_072,
        tied: true,
      },
    },
  ],
]);
