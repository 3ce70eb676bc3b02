import { expect, test } from "vitest";
import {
  asContentId,
  asModelId,
  type LinkTable,
  type ModelProfile,
  type Placement,
  type PlannerNode,
  type PlanRequest,
} from "@clusterd/wire";
import { parseInventory } from "./inventory.ts";
import { plan } from "./plan.ts";
import { repricePlacement } from "./reprice.ts";

const links: LinkTable = { rttMs: 0.5, bytesPerSecond: 125e6, pairs: [] };
const model = (layers: number, layerBytes = 1e9): ModelProfile => ({
  id: asModelId("m"),
  contentId: asContentId("c"),
  name: "m",
  architecture: "llama",
  quantisation: "Q8_0",
  fileBytes: layers * layerBytes,
  contextMax: 32768,
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
  layers: Array.from({ length: layers }, () => ({
    weightBytes: layerBytes,
    activeBytes: layerBytes,
    activeParameters: 1e9,
    kvElementsPerToken: 2048,
    kvWindowTokens: null,
    stateBytes: 0,
  })),
  inputBytes: 1e8,
  outputBytes: 1e8,
  hiddenBytes: 16384,
});
const node = (name: string, memoryGb: number, bandwidthGb: number, canHead = true): PlannerNode => ({
  name,
  memoryBytes: memoryGb * 1e9,
  bandwidthBytesPerSecond: bandwidthGb * 1e9,
  canHead,
});
const request = (nodes: PlannerNode[], more: Partial<PlanRequest> = {}): PlanRequest => ({
  model: model(8),
  nodes,
  links,
  objective: "latency",
  context: 2048,
  slots: 1,
  kv: "f16",
  pins: [],
  without: [],
  ...more,
});
function placed(result: ReturnType<typeof plan>): Placement {
  if (!result.feasible) throw new Error(JSON.stringify(result));
  return result;
}
function valid(result: Placement, layerCount: number): void {
  let next = 0;
  for (const stage of result.stages) {
    expect(stage.firstLayer).toBe(next);
    expect(stage.lastLayer).toBeGreaterThanOrEqual(stage.firstLayer);
    expect(stage.memoryBytes).toBeLessThanOrEqual(stage.budgetBytes);
    next = stage.lastLayer + 1;
  }
  expect(next).toBe(layerCount);
  expect(new Set(result.stages.map((stage) => stage.node)).size).toBe(result.stages.length);
  const sum = result.stages.reduce((total, stage) => total + stage.computeMs + stage.hopMs, result.predicted.headMs);
  expect(result.predicted.msPerToken).toBeCloseTo(sum, 9);
}

test("spread uses every node in proportion; a node without the file is never the head", () => {
  const result = placed(
    plan(request([node("a", 20, 100, false), node("b", 10, 100), node("c", 10, 50, false)], { objective: "spread" })),
  );
  valid(result, 8);
  expect(result.head).toBe("b");
  expect(Object.fromEntries(result.stages.map((stage) => [stage.node, stage.lastLayer - stage.firstLayer + 1]))).toEqual({
    a: 4,
    b: 2,
    c: 2,
  });
  expect(result.stages[0]?.node).toBe("b");
});

test("throughput gives the fast machine more layers", () => {
  const result = placed(plan(request([node("fast", 20, 300), node("slow", 20, 100)], { objective: "throughput" })));
  const count = (name: string): number =>
    result.stages.filter((stage) => stage.node === name).reduce((sum, stage) => sum + stage.lastLayer - stage.firstLayer + 1, 0);
  expect(count("fast")).toBe(6);
  expect(count("slow")).toBe(2);
});

test("pins are kept; wrong ones are named", () => {
  const nodes = [node("a", 20, 100), node("b", 20, 100), node("c", 20, 100)];
  const result = placed(plan(request(nodes, { head: "a", pins: [{ node: "b", firstLayer: 3, lastLayer: 5 }] })));
  valid(result, 8);
  expect(result.stages.find((stage) => stage.node === "b")).toMatchObject({ firstLayer: 3, lastLayer: 5 });
  expect(() => plan(request(nodes, { pins: [{ node: "b", firstLayer: 3, lastLayer: 9 }] }))).toThrow(/0-7/);
  expect(() => plan(request(nodes, { pins: [{ node: "z", firstLayer: 0, lastLayer: 1 }] }))).toThrow(/no such node/);
  expect(() => plan(request(nodes, { without: ["z"] }))).toThrow(/no node "z"/);
});

test("a refusal carries numbers and only what helps", () => {
  const result = plan(request([node("a", 4, 100), node("b", 3, 100)]));
  expect(result).toMatchObject({ feasible: false, reason: "memory", bytesAvailable: 7e9 });
  if (result.feasible) return;
  expect(result.shortByBytes).toBe(result.bytesNeeded - 7e9);
  expect(result.suggestions.join(" ")).toContain("One more machine");
  expect(plan(request([node("a", 100, 10, false)]))).toMatchObject({ feasible: false, reason: "head" });
});

test("where no context is asked for, the largest that fits is taken and said", () => {
  const { context: _, ...open } = request([node("a", 8.45, 100)]);
  const result = placed(plan(open));
  expect(result.context).toBeLessThan(8192);
  expect(result.notes.join(" ")).toContain(String(result.context));
  expect(placed(plan({ ...open, nodes: [node("a", 100, 100)] })).context).toBe(32_768);
});

test("an inventory's faults are named", () => {
  expect(parseInventory({ nodes: [{ name: "a", memoryBytes: 1, bandwidthBytesPerSecond: 1 }] })).toEqual({
    nodes: [{ name: "a", memoryBytes: 1, bandwidthBytesPerSecond: 1, canHead: true }],
    links,
  });
  expect(() => parseInventory({ nodes: [{ name: "a", memoryBytes: "1", bandwidthBytesPerSecond: 1 }] })).toThrow(
    /nodes\[0\]\.memoryBytes/,
  );
  expect(() =>
    parseInventory({
      nodes: [
        { name: "a", memoryBytes: 1, bandwidthBytesPerSecond: 1 },
        { name: "a", memoryBytes: 1, bandwidthBytesPerSecond: 1 },
      ],
    }),
  ).toThrow(/twice/);
});

test("where one machine holds the model, a faster split is only told of", () => {
  const nodes = [node("roomy", 20, 10), node("fast-1", 6, 800, false), node("fast-2", 6, 800, false)];
  const result = placed(plan(request(nodes)));
  expect(result.stages).toMatchObject([{ node: "roomy", firstLayer: 0, lastLayer: 7 }]);
  expect(result.runnerUp?.msPerToken).toBeLessThan(result.predicted.msPerToken / 2);
  expect(result.unused.map(({ why }) => why)).toEqual(
    Array(2).fill("the model fits one machine, and is not split even where that is faster"),
  );
});

test("machines that only make it slower are left out, with what they would cost; what cannot hold a layer has no time", () => {
  const nodes = [node("a", 6, 400), node("b", 6, 400), node("slow", 20, 10, false), node("tiny", 0.2, 400)];
  const result = placed(plan(request(nodes)));
  expect(result.stages.map((stage) => stage.node).sort()).toEqual(["a", "b"]);
  const unused = Object.fromEntries(result.unused.map((each) => [each.node, each]));
  expect(unused["slow"]?.msPerTokenIfUsed).toBeGreaterThan(result.predicted.msPerToken + 50);
  expect(unused["slow"]?.why).toMatch(/faster without it/);
  expect(unused["tiny"]).toMatchObject({ msPerTokenIfUsed: null, why: "it cannot hold a part of this model" });
});

test("a thousand machines, and links for a hundred thousand pairs, are placed within a stated gap", () => {
  const nodes = Array.from({ length: 1000 }, (_, index) =>
    node(`n${String(index).padStart(3, "0")}`, 2 + ((index * 37) % 101) / 10, 20 + ((index * 61) % 97) * 4),
  );
  const pairs = Array.from({ length: 100_000 }, (_, index) => ({
    a: `n${String(index % 1000).padStart(3, "0")}`,
    b: `n${String((index * 7 + 1 + Math.floor(index / 1000)) % 1000).padStart(3, "0")}`,
    rttMs: 0.2 + (index % 13) / 10,
    bytesPerSecond: 125e6,
  }));
  for (const known of [[], pairs]) {
    const result = placed(plan(request(nodes, { model: model(60), links: { ...links, pairs: known } })));
    valid(result, 60);
    expect(result.predicted.msPerToken).toBeLessThanOrEqual(result.certificate.lowerBoundMsPerToken * 1.03);
  }
});

test("a deployed placement is priced by the figures of now", () => {
  const nodes = [node("a", 6, 400), node("b", 6, 400), node("c", 6, 100)];
  const wanted = request(nodes);
  const result = placed(plan(wanted));
  const same = repricePlacement(wanted, result.stages, result.head);
  expect(same).toMatchObject({ head: result.head, stages: result.stages, msPerToken: result.predicted.msPerToken, fits: true });
  const slower = nodes.map((each) => ({ ...each, bandwidthBytesPerSecond: each.bandwidthBytesPerSecond / 2, memoryBytes: 1e9 }));
  const now = repricePlacement({ ...wanted, nodes: slower }, result.stages, result.head);
  expect(now?.msPerToken).toBeGreaterThan(result.predicted.msPerToken * 1.5);
  expect(now?.fits).toBe(false);
  expect(repricePlacement({ ...wanted, nodes: nodes.slice(2) }, result.stages, result.head)).toBeNull();
  expect(repricePlacement(wanted, result.stages.slice(1), result.head)).toBeNull();
});
