import { describe, expect, test } from "vitest";
import { headerKeys, type HeaderKeys } from "./header-keys.ts";
import { cachedElements, stateBytes } from "./layer-cache.ts";
import { layerKinds } from "./layer-kinds.ts";

const keysOf = (architecture: string, specific: Record<string, unknown>): HeaderKeys =>
  headerKeys({ general: { architecture }, specific: { embedding_length: 512, ...specific }, vocabulary: null }, "m.gguf");

/** A letter for each layer: `w` attends within a window, `a` to everything, `r` is recurrent, `b` both, `-` neither. */
function kindsOf(architecture: string, specific: Record<string, unknown>, layers: number, nextTokenLayers = 0): string {
  return layerKinds(keysOf(architecture, specific), layers, nextTokenLayers)
    .map(({ hasCache, hasState, window }) => {
      if (hasCache && hasState) return "b";
      if (hasState) return "r";
      return hasCache ? (window === null ? "a" : "w") : "-";
    })
    .join("");
}

const attention = { head_count: 8, head_count_kv: 2 };
const window = { attention: { ...attention, sliding_window: 128 } };

describe("which layers keep what, as llama.cpp has it", () => {
  test.each<[string, Record<string, unknown>, number, string]>([
    ["llama", window, 4, "aaaa"],
    ["phi3", window, 4, "aaaa"],
    ["gemma2", { attention }, 4, "wawa"],
    ["gemma3", window, 8, "wwwwwaww"],
    ["gemma3", { attention }, 4, "aaaa"],
    ["gpt-oss", window, 4, "wawa"],
    ["gpt-oss", { attention: { ...window.attention, sliding_window_pattern: 3 } }, 6, "wwawwa"],
    ["gpt-oss", { attention: { ...window.attention, sliding_window_pattern: [true, true, false, true] } }, 4, "wwaw"],
    ["cohere2moe", window, 5, "awwwa"],
    ["llama4", { attention }, 5, "wwwaw"],
    ["llama4", { attention: { ...attention, sliding_window: 0 } }, 4, "aaaa"],
    ["exaone4", window, 4, "aaaa"],
    [
      "gemma4",
      { attention: { ...window.attention, sliding_window_pattern: [true, false, true, false], shared_kv_layers: 1 } },
      4,
      "waw-",
    ],
    ["qwen3next", { attention }, 8, "rrrarrra"],
    ["qwen3next", { attention, full_attention_interval: 2 }, 4, "rara"],
    ["granitehybrid", { attention: { ...attention, head_count_kv: [0, 2, 0, 2] } }, 4, "rara"],
    ["nemotron_h", { attention: { ...attention, head_count_kv: [0, 0, 2] }, feed_forward_length: [0, 64, 0] }, 3, "r-a"],
    ["falcon-h1", { attention }, 2, "bb"],
    ["mamba2", {}, 2, "rr"],
  ])("%s %j, %i layers: %s", (architecture, specific, layers, kinds) =>
    expect(kindsOf(architecture, specific, layers)).toBe(kinds),
  );

  test("layers for later tokens have attention to everything, and do not shift the pattern", () =>
    expect(kindsOf("gpt-oss", window, 5, 1)).toBe("wawaa"));

  test("exaone4 has windows in its largest size only", () => expect(kindsOf("exaone4", window, 64)).toBe("wwwa".repeat(16)));
});

describe("what a token takes in a layer's cache", () => {
  const elements = (architecture: string, specific: Record<string, unknown>, layer = 0): number => {
    const keys = keysOf(architecture, specific);
    const kind = layerKinds(keys, 4, 0)[layer];
    return kind === undefined ? Number.NaN : cachedElements(keys, kind, layer);
  };
  const mla = { head_count: 16, head_count_kv: 1, key_length: 576, value_length: 512 };

  test.each<[string, number, number]>([
    ["grouped-query: the usual head length", elements("llama", { attention }), 2 * 2 * 64],
    [
      "grouped-query: lengths of its own",
      elements("llama", { attention: { ...attention, key_length: 96, value_length: 32 } }),
      2 * 128,
    ],
    ["heads by layer", elements("llama", { attention: { ...attention, head_count_kv: [2, 4, 0, 1] } }, 2), 0],
    [
      "latent, absorbed: one vector",
      elements("deepseek2", { attention: { ...mla, key_length_mla: 192, value_length_mla: 128 } }),
      576,
    ],
    [
      "latent, not absorbed: keys and values of every head",
      elements("deepseek2", { attention: { head_count: 16, head_count_kv: 16, key_length: 192, value_length: 128 } }),
      16 * 320,
    ],
    [
      "a window's heads of other lengths",
      elements("gemma4", {
        attention: {
          ...attention,
          sliding_window: 128,
          sliding_window_pattern: [true, false, true, false],
          key_length: 512,
          value_length: 512,
          key_length_swa: 256,
          value_length_swa: 256,
        },
      }),
      2 * 512,
    ],
    [
      "an indexer's keys besides",
      elements("deepseek32", { attention: { ...mla, key_length_mla: 192, value_length_mla: 128, indexer: { key_length: 128 } } }),
      576 + 128,
    ],
    ["a recurrent layer: none", elements("qwen3next", { attention }), 0],
  ])("%s", (_, found, wanted) => expect(found).toBe(wanted));

  test.each<[string, Record<string, unknown>, number]>([
    ["mamba2", { ssm: { conv_kernel: 4, inner_size: 1024, state_size: 128, group_count: 1 } }, (3 * 1280 + 128 * 1024) * 4],
    ["rwkv7", { wkv: { head_size: 64 } }, (2 * 512 + 512 * 64) * 4],
    ["lfm2", { attention: { ...attention, head_count_kv: [0, 2, 0, 2] }, shortconv: { l_cache: 3 } }, 2 * 512 * 4],
  ])("recurrent state of %s", (architecture, specific, bytes) => {
    const keys = keysOf(architecture, specific);
    const [kind] = layerKinds(keys, 4, 0);
    expect(kind === undefined ? 0 : stateBytes(keys, kind)).toBe(bytes);
  });
});
