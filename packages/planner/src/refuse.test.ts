import { describe, expect, test } from "vitest";
import { asContentId, asModelId, type ModelProfile, type PlannerNode, type PlanRequest, type Refusal } from "@clusterd/wire";
import { plan } from "./plan.ts";

const GB = 1e9;
const model: ModelProfile = {
  id: asModelId("m"),
  contentId: asContentId("c"),
  name: "m",
  architecture: "llama",
  quantisation: "Q8_0",
  fileBytes: 10 * GB,
  contextMax: 32_768,
  vocabularySize: 32_000,
  embeddingLength: 4096,
  vocabulary: null,
  nextTokenLayers: 0,
  activations: {
    f16Cache: 32_768,
    quantisedCache: 32_768,
    worker: 32_768,
    recurrent: 0,
    unfused: { head: 2048, worker: 1024, rows: 8, values: 256, copied: 0 },
  },
  layers: Array.from({ length: 8 }, () => ({
    weightBytes: GB,
    activeBytes: GB,
    activeParameters: 1e9,
    kvElementsPerToken: 8192,
    kvWindowTokens: null,
    stateBytes: 0,
  })),
  inputBytes: 0.1 * GB,
  outputBytes: 0.1 * GB,
  hiddenBytes: 16_384,
};
const node = (name: string, memoryGb: number, more: Partial<PlannerNode> = {}): PlannerNode => ({
  name,
  memoryBytes: memoryGb * GB,
  bandwidthBytesPerSecond: 100 * GB,
  canHead: true,
  ...more,
});
/** A refusal of this request; it must be one. */
function refused(nodes: readonly PlannerNode[], more: Partial<PlanRequest> = {}): Refusal {
  const links = { rttMs: 0.5, bytesPerSecond: 125e6, pairs: [] };
  const base = {
    model,
    nodes,
    links,
    objective: "latency",
    context: 32_768,
    slots: 1,
    kv: "f16",
    pins: [],
    without: [],
  } as const;
  const result = plan({ ...base, ...more });
  if (result.feasible) throw new Error("it fits");
  return result;
}

describe("what would make it fit is named with what it saves, and only what would", () => {
  test("a cheaper cache, a shorter context", () => {
    // Weights 8.2 GB, cache of 32768 tokens 4.3 GB, f16; 2.3 GB as q8_0.
    const { suggestions, why } = refused([node("a", 11.5)]);
    expect(suggestions.slice(0, 2)).toEqual([
      "A q8_0 KV cache saves 2.0 GB and fits (--kv q8_0).",
      "A context of 16384 saves 2.2 GB and fits (--ctx 16384).",
    ]);
    expect(why[0]).toContain("4.3 GB of cache");
    expect(refused([node("a", 2)]).suggestions).toEqual([expect.stringMatching(/^One more machine with/)]);
  });

  test("fewer slots, no draft's, a node that was left out, another head, no pins", () => {
    expect(refused([node("a", 11)], { context: 8192, slots: 4 }).suggestions.join()).toContain("--slots 2");
    expect(refused([node("a", 9), node("b", 9)], { without: ["b"] }).suggestions.join()).toContain(
      "b would do: leave out --without b",
    );
    expect(refused([node("a", 0.2), node("b", 14)], { head: "a" }).suggestions.join()).toContain("another head than a");
    const pinned = refused([node("a", 3), node("b", 14)], { pins: [{ node: "a", firstLayer: 0, lastLayer: 7 }] });
    expect(pinned.suggestions).toContain("It fits without the pins.");
  });

  test("flash attention, where it is off", () => {
    const said = "It fits with flash attention (without --flash-attention off).";
    expect(refused([node("a", 13)], { flashAttention: false }).suggestions).toContain(said);
    expect(refused([node("a", 2)], { flashAttention: false }).suggestions).not.toContain(said);
  });

  test("a setting of one machine, or of several together", () => {
    const raisable = { memoryBytes: 14 * GB, how: "sudo sysctl iogpu.wired_limit_mb=14000" };
    expect(refused([node("a", 9, { raisable })]).suggestions).toContain(
      "a can give 5.0 GB more, which fits: sudo sysctl iogpu.wired_limit_mb=14000",
    );
    const half = { memoryBytes: 8 * GB, how: "sudo sysctl iogpu.wired_limit_mb=8000" };
    const both = refused([node("a", 4.5, { raisable: half }), node("b", 4.5, { raisable: half })]);
    expect(both.suggestions.join()).toContain("2 machines can give 7.0 GB more, which fits; on a: sudo sysctl");
    expect(refused([node("a", 9)]).suggestions.join()).not.toContain("can give");
  });

  test("where no one thing is enough, all together", () => {
    const { suggestions } = refused([node("a", 8.75)], { slots: 4, context: 32_768 });
    expect(suggestions[0]).toMatch(/^--kv q4_0 --ctx \d+ --slots 1 together save .* and fit\.$/);
  });
});

test("one more machine of the size named would do, and a tenth smaller would not", () => {
  const nodes = [node("a", 6), node("b", 3)];
  const size = Number(/with ([\d.]+) GB/.exec(refused(nodes).suggestions.join())?.[1]);
  const withOneMore = (memoryGb: number): boolean => {
    try {
      refused([...nodes, node("c", memoryGb)]);
      return false;
    } catch {
      return true;
    }
  };
  expect([withOneMore(size + 0.05), withOneMore(size * 0.9)]).toEqual([true, false]);
});

test("enough together but not in pieces that fit is said so, and what is short is a piece", () => {
  const refusal = refused([node("a", 1.2), ...Array.from({ length: 10 }, (_, index) => node(`b${index}`, 1.5))]);
  expect(refusal.why[0]).toContain("but not in pieces that fit");
  expect(refusal.shortByBytes).toBeGreaterThan(0);
  expect(refusal.bytesNeeded).toBe(refusal.bytesAvailable + refusal.shortByBytes);
  // And it is certain: nothing was given up.
  expect(refusal.why).toHaveLength(1);
});
