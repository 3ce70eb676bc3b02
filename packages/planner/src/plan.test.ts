import { fc, test } from "@fast-check/vitest";
import { expect } from "vitest";
import {
  asContentId,
  asModelId,
  type LinkTable,
  type ModelProfile,
  type Placement,
  type PlannerNode,
  type PlanRequest,
} from "@clusterd/wire";
import { costModel } from "./cost.ts";
import { parseInventory } from "./inventory.ts";
import { price } from "./layout.ts";
import { plan } from "./plan.ts";

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
  activations: { f16Cache: 32_768, quantisedCache: 32_768, worker: 32_768, recurrent: 0 },
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

const cluster = fc.array(
  fc.record({ memoryGb: fc.integer({ min: 1, max: 12 }), bandwidthGb: fc.integer({ min: 5, max: 400 }), canHead: fc.boolean() }),
  { minLength: 1, maxLength: 4 },
);
const nodesOf = (specs: { memoryGb: number; bandwidthGb: number; canHead: boolean }[]): PlannerNode[] =>
  specs.map((spec, index) => node(`n${index}`, spec.memoryGb, spec.bandwidthGb, spec.canHead));

/** Every head, every order of every set, every cut. */
function bruteForce(wanted: PlanRequest): number {
  const cost = costModel(wanted.model, wanted.context ?? 0, wanted.slots, wanted.kv);
  let best = Infinity;
  const alone: number[] = [];
  const walk = (head: PlannerNode, shares: { node: PlannerNode; count: number }[], left: number): void => {
    if (left === 0) {
      if (shares.findIndex((share) => share.node === head) > 0) return;
      const priced = price(cost, wanted.links, { head, shares });
      if (priced === null) return;
      best = Math.min(best, priced.msPerToken);
      if (shares.length === 1 && shares[0]?.node === head) alone.push(priced.msPerToken);
      return;
    }
    for (const candidate of wanted.nodes) {
      if (shares.some((share) => share.node === candidate)) continue;
      for (let count = 1; count <= left; count++) walk(head, [...shares, { node: candidate, count }], left - count);
    }
  };
  for (const head of wanted.nodes) if (head.canHead) walk(head, [], wanted.model.layers.length);
  // A model that fits one machine is never split.
  return alone.length > 0 ? Math.min(...alone) : best;
}

test.prop([cluster, fc.integer({ min: 1, max: 6 })], { numRuns: 300 })(
  "latency is within 2 % of brute force, and refuses only what brute force cannot place",
  (specs, layers) => {
    const wanted = request(nodesOf(specs), { model: model(layers, 1.5e9) });
    const result = plan(wanted);
    const best = bruteForce(wanted);
    expect(result.feasible).toBe(Number.isFinite(best));
    if (!result.feasible) return;
    valid(result, layers);
    expect(result.predicted.msPerToken).toBeLessThanOrEqual(best * 1.02 + 1e-9);
    expect(result.predicted.msPerToken).toBeGreaterThanOrEqual(best - 1e-9);
  },
);

test.prop([cluster, fc.constantFrom("latency" as const, "throughput" as const, "spread" as const)])(
  "every plan is valid, and the order of the nodes changes nothing",
  (specs, objective) => {
    const nodes = nodesOf(specs);
    const result = plan(request(nodes, { objective }));
    if (result.feasible) valid(result, 8);
    const turned = plan(request([...nodes].reverse(), { objective }));
    if (result.feasible) expect(turned).toEqual(result);
    else expect(turned.feasible).toBe(false);
  },
);

test.prop([cluster, fc.nat(3)])("more memory never makes it refuse or slow", (specs, index) => {
  const nodes = nodesOf(specs);
  const result = plan(request(nodes));
  const more = plan(
    request(nodes.map((each, at) => (at === index % nodes.length ? { ...each, memoryBytes: each.memoryBytes * 2 } : each))),
  );
  if (!result.feasible) return;
  // A model that now fits one machine is not split any more, even over a faster second one: that is the rule, not a slowdown.
  const alone = (each: Placement): boolean => each.stages.length === 1 && each.stages[0]?.node === each.head;
  if (alone(placed(more)) && !alone(result)) return;
  expect(placed(more).predicted.msPerToken).toBeLessThanOrEqual(result.predicted.msPerToken * 1.0201);
});

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
  expect(placed(plan({ ...open, nodes: [node("a", 100, 100)] })).context).toBe(8192);
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
