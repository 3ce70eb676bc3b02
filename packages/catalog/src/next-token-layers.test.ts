import { expect, test } from "vitest";
import { buildProfile } from "./build-profile.ts";
import type { GuardedHeader } from "./header-guard.ts";

const LAYERS = 3;
const BYTES = 1024;

/** A GLM-4.5 of three layers and one for later tokens, with tensors in those of its layers. */
function profileOf(withTensors: readonly number[], nextTokenLayers = 1) {
  const block = (layer: number): string[] => [
    ...["attn_norm", "attn_q", "attn_k", "attn_v", "attn_output"].map((name) => `blk.${layer}.${name}.weight`),
    ...(layer < LAYERS ? [] : ["eh_proj", "enorm", "hnorm", "embed_tokens"].map((name) => `blk.${layer}.nextn.${name}.weight`)),
  ];
  const names = ["token_embd.weight", ...withTensors.flatMap(block), "output_norm.weight", "output.weight"];
  const tensors = names.map((name, at) => ({ name, type: 0, dimensions: [16, 16], offset: at * BYTES, bytes: BYTES }));
  const header: GuardedHeader = {
    path: "glm.gguf",
    fileBytes: (names.length + 1) * BYTES,
    dataStart: BYTES,
    metadata: { alignment: 32, architecture: "glm4moe", splitNumber: null, splitCount: null, splitTensorCount: null },
    tensors,
  };
  const specific = {
    block_count: LAYERS + 1,
    context_length: 4096,
    embedding_length: 16,
    nextn_predict_layers: nextTokenLayers,
    attention: { head_count: 2, head_count_kv: 2, key_length: 8, value_length: 8 },
  };
  return buildProfile([header], "content", { general: { architecture: "glm4moe", name: "glm" }, specific, vocabulary: null });
}

test("a layer for later tokens is counted with all that is its own, its copy of the embedding too", () => {
  const profile = profileOf([0, 1, 2, 3]);
  expect(profile.nextTokenLayers).toBe(1);
  expect(profile.layers.map(({ weightBytes }) => weightBytes / BYTES)).toEqual([5, 5, 5, 9]);
  expect([profile.inputBytes, profile.outputBytes]).toEqual([BYTES, 2 * BYTES]);
});

test("a file that was made without it is a model all the same", () => {
  const { layers, nextTokenLayers } = profileOf([0, 1, 2]);
  expect(nextTokenLayers).toBe(1);
  expect(layers.map(({ weightBytes }) => weightBytes / BYTES)).toEqual([5, 5, 5, 0]);
});

test("one that has nothing else is none, nor is one that lacks another layer", () => {
  expect(() => profileOf([3])).toThrow("layer 0 has no tensors");
  expect(() => profileOf([0, 2, 3])).toThrow("layer 1 has no tensors");
  expect(() => profileOf([0, 1, 2, 3], 4)).toThrow("of its 4 layers 4 are for later tokens");
});
