import { fc, test } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import type { Placement, PlanRequest } from "@clusterd/wire";
import type { Priced } from "./layout.ts";
import { plan } from "./plan.ts";
import { anyRequest, modelOf, requestOf } from "./testing/any-request.ts";
import { everyPlacement } from "./testing/brute-force.ts";

const ROUNDING = 1e-8;
const slowest = (stages: Placement["stages"]): number => Math.max(...stages.map((stage) => stage.computeMs + stage.hopMs));
const least = (values: readonly number[]): number => values.reduce((low, value) => Math.min(low, value), Infinity);
const alone = ({ stages }: Pick<Priced, "stages">, head: string): boolean => stages.length === 1 && stages[0]?.node === head;

function freeShare({ stages, head }: Placement): number {
  const shares = stages.map((stage) => 1 - stage.memoryBytes / stage.budgetBytes);
  return stages.some((stage) => stage.node === head) ? Math.min(...shares) : Math.min(1, ...shares);
}

/** Layers in order, each machine once, everything within its budget, sums that are sums. */
function valid(placement: Placement): void {
  let next = 0;
  for (const stage of placement.stages) {
    expect(stage.firstLayer).toBe(next);
    expect(stage.lastLayer).toBeGreaterThanOrEqual(stage.firstLayer);
    expect(stage.memoryBytes).toBeLessThanOrEqual(stage.budgetBytes);
    next = stage.lastLayer + 1;
  }
  expect(next).toBe(placement.model.layerCount);
  expect(new Set(placement.stages.map((stage) => stage.node)).size).toBe(placement.stages.length);
  expect(placement.stages.findIndex((stage) => stage.node === placement.head)).toBeLessThanOrEqual(0);
  const sum = placement.stages.reduce((ms, stage) => ms + stage.computeMs + stage.hopMs, placement.predicted.headMs);
  expect(Math.abs(placement.predicted.msPerToken - sum)).toBeLessThan(1e-9 * sum);
}

/** The plan, if brute force has a placement too; null where both have none. */
function sameVerdict(request: PlanRequest, all: readonly Priced[]): Placement | null {
  const result = plan(request);
  expect(result.feasible).toBe(all.length > 0);
  if (!result.feasible) return null;
  valid(result);
  return result;
}

describe("against every placement there is", () => {
  test.prop([anyRequest(4)], { numRuns: 10_000 })("latency is the optimum", (request) => {
    const all = everyPlacement(request);
    const result = sameVerdict(request, all);
    if (result === null) return;
    const whole = all.filter((each) => alone(each, each.layout.head.name));
    const allowed = whole.length > 0 ? whole : all;
    const best = least(allowed.map((each) => each.msPerToken));
    expect(result.certificate.optimal).toBe(true);
    expect(Math.abs(result.certificate.lowerBoundMsPerToken / best - 1)).toBeLessThan(ROUNDING);
    expect(result.predicted.msPerToken).toBeLessThanOrEqual(best * 1.02 * (1 + ROUNDING));
    if (whole.length > 0) expect(alone(result, result.head)).toBe(true);
    const near = allowed.filter((each) => each.msPerToken <= best * 1.02 * (1 - ROUNDING));
    const most = near.reduce((high, each) => Math.max(high, each.headroom), -Infinity);
    if (whole.length === 0) expect(freeShare(result)).toBeGreaterThan(most - 1e-6);
  });

  test.prop([anyRequest(4)], { numRuns: 1500 })("alternatives and unused machines have the times they would have", (request) => {
    const kinds = new Set(request.nodes.map((node) => `${node.memoryBytes} ${node.bandwidthBytesPerSecond}`));
    // Machines that are alike count as one and the same in alternatives.
    fc.pre(kinds.size === request.nodes.length);
    const all = everyPlacement(request);
    const result = sameVerdict({ ...request, top: 3 }, all);
    if (result === null) return;
    const keyOf = (head: string, stages: Placement["stages"]): string =>
      [head, ...stages.map(({ node }) => node).sort()].join(" ");
    const fastest = new Map<string, number>();
    for (const { layout, stages, msPerToken } of all) {
      const key = keyOf(layout.head.name, stages);
      fastest.set(key, Math.min(fastest.get(key) ?? Infinity, msPerToken));
    }
    fastest.delete(keyOf(result.head, result.stages));
    const others = [...fastest.values()].sort((a, b) => a - b).slice(0, 3);
    expect(result.alternatives.length).toBe(others.length);
    result.alternatives.forEach((each, index) => expect(each.msPerToken / (others[index] ?? 0)).toBeCloseTo(1, 7));
    expect(result.runnerUp).toEqual(result.alternatives[0] ?? null);
    for (const { node, msPerTokenIfUsed } of result.unused) {
      const used = least(all.filter(({ stages }) => stages.some((stage) => stage.node === node)).map((each) => each.msPerToken));
      if (used === Infinity) expect(msPerTokenIfUsed).toBeNull();
      else expect((msPerTokenIfUsed ?? 0) / used).toBeCloseTo(1, 7);
    }
  });

  test.prop([anyRequest(4)], { numRuns: 1500 })("throughput has the fastest slowest stage", (request) => {
    const all = everyPlacement(request);
    const result = sameVerdict({ ...request, objective: "throughput" }, all);
    if (result === null) return;
    const best = least(all.map(({ stages }) => slowest(stages)));
    expect(result.certificate.optimal).toBe(true);
    expect(Math.abs(result.certificate.lowerBoundMsPerToken / best - 1)).toBeLessThan(ROUNDING);
    expect(slowest(result.stages)).toBeLessThanOrEqual(best * 1.02 * (1 + ROUNDING));
    const near = all.filter(({ stages }) => slowest(stages) <= best * 1.02 * (1 - ROUNDING));
    expect(freeShare(result)).toBeGreaterThan(near.reduce((high, each) => Math.max(high, each.headroom), -Infinity) - 1e-6);
  });

  test.prop([anyRequest(4), fc.nat(3), fc.nat(6), fc.nat(6), fc.constantFrom("latency" as const, "throughput" as const)], {
    numRuns: 2500,
  })("pins are kept by the best placement that keeps them", (request, index, one, other, objective) => {
    const layers = request.model.layers.length;
    const [firstLayer, lastLayer] = [one % layers, other % layers].sort((a, b) => a - b);
    const node = request.nodes[index % request.nodes.length]?.name ?? "";
    const pinned = { ...request, objective, pins: [{ node, firstLayer: firstLayer ?? 0, lastLayer: lastLayer ?? 0 }] };
    const all = everyPlacement(pinned);
    const result = sameVerdict(pinned, all);
    if (result === null) return;
    expect(result.stages).toContainEqual(expect.objectContaining({ node, firstLayer, lastLayer }));
    const figure = (each: Pick<Priced, "stages" | "msPerToken">): number =>
      objective === "latency" ? each.msPerToken : slowest(each.stages);
    const best = least(all.map(figure));
    expect(result.certificate.lowerBoundMsPerToken / best).toBeCloseTo(1, 7);
    expect(figure({ stages: result.stages, msPerToken: result.predicted.msPerToken })).toBeLessThanOrEqual(
      best * 1.02 * (1 + ROUNDING),
    );
  });

  test.prop([anyRequest(4)], { numRuns: 2500 })(
    "spread uses every machine, in proportion where that fits, in the fastest order",
    (request) => {
      const all = everyPlacement(request).filter(({ stages }) => stages.length === request.nodes.length);
      const result = sameVerdict({ ...request, objective: "spread" }, all);
      if (result === null) return;
      expect(result.stages.length).toBe(request.nodes.length);
      const total = request.nodes.reduce((sum, node) => sum + node.memoryBytes, 0);
      const shares = request.nodes.map((node) => (request.model.layers.length * node.memoryBytes) / total);
      const fits = ({ layout }: Priced): boolean =>
        request.nodes.every((node, index) => {
          const count = layout.shares.find((share) => share.node === node)?.count ?? 0;
          return count === Math.max(1, Math.round(shares[index] ?? 0));
        });
      // Where rounding gives all layers out, largest remainders do the same.
      const exact = all.filter(fits);
      if (exact.length === 0) return;
      expect(result.predicted.msPerToken / least(exact.map((each) => each.msPerToken))).toBeCloseTo(1, 7);
      expect(result.certificate.lowerBoundMsPerToken).toBe(result.predicted.msPerToken);
    },
  );
});

const objectives = fc.constantFrom("latency" as const, "throughput" as const, "spread" as const);
test.prop([anyRequest(6), objectives, fc.array(fc.nat(), { minLength: 6, maxLength: 6 })], { numRuns: 400 })(
  "the order of the machines changes nothing",
  (request, objective, keys) => {
    const wanted = { ...request, objective, top: 3 };
    const mixed = request.nodes.map((node, index) => ({ node, key: keys[index] ?? 0 })).sort((a, b) => a.key - b.key);
    const result = plan(wanted);
    const again = plan({ ...wanted, nodes: mixed.map(({ node }) => node) });
    if (result.feasible) expect(again).toEqual(result);
    else expect(again.feasible).toBe(false);
  },
);

test.prop([anyRequest(6), fc.nat(5), fc.constantFrom("latency" as const, "throughput" as const)], { numRuns: 500 })(
  "more memory never makes it refuse or slower",
  (request, index, objective) => {
    const result = plan({ ...request, objective });
    fc.pre(result.feasible);
    const nodes = request.nodes.map((node, at) =>
      at === index % request.nodes.length ? { ...node, memoryBytes: node.memoryBytes * 1.5 } : node,
    );
    const more = plan({ ...request, objective, nodes });
    expect(more.feasible).toBe(true);
    if (!result.feasible || !more.feasible) return;
    if (objective === "throughput")
      expect(slowest(more.stages)).toBeLessThanOrEqual(slowest(result.stages) * 1.02 * (1 + ROUNDING));
    // A model that now fits one machine is not split any more, even over a faster second one: that is the rule, not a slowdown.
    else if (!alone(more, more.head) || alone(result, result.head))
      expect(more.predicted.msPerToken).toBeLessThanOrEqual(result.predicted.msPerToken * 1.02 * (1 + ROUNDING));
  },
);

const machine = fc.record({ memory: fc.integer({ min: 4, max: 24 }), bandwidth: fc.integer({ min: 30, max: 400 }) });
const patterns = fc.constantFrom("alike" as const, "some heavier" as const, "some with a cache" as const);
test.prop([fc.array(machine, { minLength: 16, maxLength: 16 }), patterns, fc.double({ min: 0.2, max: 0.8, noNaN: true })], {
  numRuns: 25,
})("94 layers on 16 machines: sound, and within what it says of its bound", (machines, pattern, load) => {
  const nodes = machines.map(({ memory, bandwidth }, index) => ({
    name: `n${index}`,
    memoryBytes: memory * 1e9,
    bandwidthBytesPerSecond: bandwidth * 1e9,
    canHead: true,
  }));
  const total = nodes.reduce((sum, node) => sum + node.memoryBytes, 0);
  const layers = Array.from({ length: 94 }, (_, index) => ({
    weight: pattern === "some heavier" && index % 3 === 2 ? 1.13 : 1,
    active: 0.3,
    cache: pattern === "some with a cache" && index % 6 !== 5 ? 0 : 4096,
  }));
  const result = plan(requestOf(modelOf(layers, (total * load) / 94), nodes, { top: 2 }));
  if (!result.feasible) return;
  valid(result);
  const { optimal, lowerBoundMsPerToken } = result.certificate;
  expect(lowerBoundMsPerToken).toBeGreaterThan(0);
  expect(result.predicted.msPerToken).toBeGreaterThanOrEqual(lowerBoundMsPerToken * (1 - ROUNDING));
  if (optimal) expect(result.predicted.msPerToken).toBeLessThanOrEqual(lowerBoundMsPerToken * 1.02 * (1 + ROUNDING));
  if (pattern === "alike") expect(optimal).toBe(true);
});
