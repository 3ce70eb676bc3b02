import { describe, expect, test } from "vitest";
import { embeddingUse, isEncoder } from "./embedding-use.ts";
import { headerKeys } from "./header-keys.ts";
import { layerKinds } from "./layer-kinds.ts";

const keysOf = (architecture: string, specific: Readonly<Record<string, unknown>> = {}) =>
  headerKeys({ general: { architecture }, specific: { embedding_length: 128, ...specific }, vocabulary: null }, "m.gguf");

describe("what a header says of embeddings", () => {
  test.each([
    ["llama", {}, null],
    ["qwen3", { pooling_type: 0 }, null],
    ["qwen3", { pooling_type: 3 }, { pooling: "last", whole: false }],
    ["qwen2", { pooling_type: 3, attention: { causal: false } }, { pooling: "last", whole: true }],
    ["llama", { pooling_type: 1 }, { pooling: "mean", whole: true }],
    ["bert", {}, { pooling: "mean", whole: true }],
    ["bert", { pooling_type: 2 }, { pooling: "cls", whole: true }],
    ["llama-embed", {}, { pooling: "mean", whole: true }],
  ] as const)("%s with %o", (architecture, specific, use) => {
    expect(embeddingUse(keysOf(architecture, specific), "m.gguf")).toEqual(use);
  });

  test("one that ranks pairs of texts is refused", () => {
    expect(() => embeddingUse(keysOf("bert", { pooling_type: 4 }), "m.gguf")).toThrow(/ranks pairs/);
  });

  test("encoders keep nothing of a token; decoders do, whatever they are for", () => {
    expect(isEncoder(keysOf("nomic-bert"))).toBe(true);
    expect(layerKinds(keysOf("nomic-bert", { attention: { head_count: 2 } }), 2, 0).map(({ hasCache }) => hasCache)).toEqual([
      false,
      false,
    ]);
    const decoder = keysOf("qwen3", { pooling_type: 3, attention: { head_count: 2 } });
    expect(layerKinds(decoder, 1, 0)).toEqual([{ hasCache: true, hasState: false, window: null }]);
  });
});
