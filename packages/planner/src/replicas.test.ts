import { fc, test } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import { placeOf, type Placement, type PlanRequest } from "@clusterd/wire";
import { plan } from "./plan.ts";
import { planReplicas, REPLICA_GAIN_MIN, runSteps, SLOWER_THAN_ALONE_MAX, type ReplicaSet } from "./replicas.ts";
import { anyRequest, modelOf, requestOf } from "./testing/any-request.ts";

const ROUNDING = 1e-9;
const replicas = (request: PlanRequest, wanted: number | "auto"): ReturnType<typeof setOrNull> =>
  setOrNull(runSteps(planReplicas(request, wanted)));
const setOrNull = (result: ReplicaSet | { readonly feasible: false }): ReplicaSet | null => (result.feasible ? result : null);
const hostsOf = ({ head, stages }: Placement): string[] => [
  ...new Set([head, ...stages.map((stage) => stage.node)].map((node) => placeOf(node).node)),
];
const streamOf = ({ predicted }: Placement): number => predicted.tokensPerSecond;
const rateOf = (placement: Placement): number =>
  placement.objective === "throughput"
    ? 1000 / Math.max(...placement.stages.map((stage) => stage.computeMs + stage.hopMs))
    : streamOf(placement);

/** The best sum there is: every machine is given to one of the groups or to none. */
function bestSum(request: PlanRequest, count: number): number | null {
  let best: number | null = null;
  const rates = new Map<string, number | null>();
  const rate = (names: readonly string[]): number | null => {
    const key = names.join(" ");
    const known = rates.get(key);
    if (known !== undefined) return known;
    const result = plan({ ...request, nodes: request.nodes.filter(({ name }) => names.includes(name)) });
    const found = result.feasible ? rateOf(result) : null;
    rates.set(key, found);
    return found;
  };
  const walk = (index: number, groups: readonly string[][]): void => {
    const node = request.nodes[index];
    if (node !== undefined) {
      walk(index + 1, groups);
      groups.forEach((group, at) => walk(index + 1, groups.with(at, [...group, node.name])));
      return;
    }
    if (groups.some((group) => group.length === 0)) return;
    const each = groups.map(rate);
    if (each.some((value) => value === null)) return;
    best = Math.max(
      best ?? 0,
      each.reduce<number>((sum, value) => sum + (value ?? 0), 0),
    );
  };
  walk(
    0,
    Array.from({ length: count }, () => []),
  );
  return best;
}

/** On hosts of their own, each a placement in its own right, all with one context. */
function valid(set: ReplicaSet, request: PlanRequest): void {
  const hosts = set.placements.flatMap(hostsOf);
  expect(new Set(hosts).size).toBe(hosts.length);
  expect(new Set(set.placements.map(({ context }) => context)).size).toBe(1);
  for (const placement of set.placements) {
    expect(placement.stages.at(-1)?.lastLayer).toBe(request.model.layers.length - 1);
    for (const stage of placement.stages) {
      const budget = request.nodes.find(({ name }) => name === stage.node)?.memoryBytes ?? 0;
      expect(stage.memoryBytes).toBeLessThanOrEqual(budget);
    }
    expect(request.nodes.find(({ name }) => name === placement.head)?.canHead).toBe(true);
  }
  const sum = set.placements.reduce((total, placement) => total + rateOf(placement), 0);
  expect(set.tokensPerSecond / sum).toBeCloseTo(1, 9);
}

const objective = fc.constantFrom("latency" as const, "throughput" as const);

describe("so many replicas", () => {
  test.prop([anyRequest(4), objective, fc.integer({ min: 2, max: 3 })], { numRuns: 400 })(
    "of few machines have the greatest sum there is, and are refused only where there are none",
    (asked, wish, count) => {
      const request = { ...asked, objective: wish };
      const set = replicas(request, count);
      const best = bestSum(request, count);
      expect(set === null).toBe(best === null);
      if (set === null || best === null) return;
      expect(set.placements).toHaveLength(count);
      valid(set, request);
      expect(set.tokensPerSecond / best).toBeCloseTo(1, 9);
    },
  );

  test.prop([anyRequest(10), objective, fc.integer({ min: 1, max: 4 })], { numRuns: 150 })(
    "of more machines are apart, and each holds the model",
    (asked, wish, count) => {
      const request = { ...asked, objective: wish };
      const set = replicas(request, count);
      if (set === null) return;
      expect(set.placements).toHaveLength(count);
      valid(set, request);
    },
  );

  test("without a wish for a context all have the largest one that all can have", () => {
    const layers = Array.from({ length: 4 }, () => ({ weight: 1, active: 1, cache: 400_000 }));
    const node = (name: string, memoryBytes: number) => ({ name, memoryBytes, bandwidthBytesPerSecond: 1e11, canHead: true });
    const { context: _, ...request } = requestOf(modelOf(layers, 1e9), [node("large", 40e9), node("small", 13e9)]);
    const alone = plan(request);
    expect(alone.feasible && alone.context).toBe(8192);
    expect(replicas(request, 2)?.placements.map(({ context }) => context)).toEqual([2048, 2048]);
    // Nobody asked for a second one: it does not cost the first its context.
    expect(replicas(request, "auto")?.placements.map(({ context }) => context)).toEqual([8192]);
  });

  test("a refusal says how many there can be", () => {
    const layers = [{ weight: 1, active: 1, cache: 0 }];
    const nodes = ["a", "b", "c"].map((name, index) => ({
      name,
      memoryBytes: 5e9,
      bandwidthBytesPerSecond: 1e11,
      canHead: index < 2,
    }));
    const refusal = runSteps(planReplicas(requestOf(modelOf(layers, 1e9), nodes), 3));
    expect(refusal).toMatchObject({ feasible: false, reason: "head" });
    expect(refusal.feasible ? [] : refusal.suggestions).toContain("Load 2 replicas: --replicas 2.");
    expect(() => runSteps(planReplicas({ ...requestOf(modelOf(layers, 1e9), nodes), head: "a" }, 2))).toThrow(/Pins and a head/);
  });

  test("a host's accelerators stay together", () => {
    const layers = Array.from({ length: 4 }, () => ({ weight: 1, active: 1, cache: 0 }));
    const node = (name: string, canHead: boolean) => ({ name, memoryBytes: 3.5e9, bandwidthBytesPerSecond: 1e11, canHead });
    const nodes = [node("a", true), node("a#1", false), node("b", true), node("b#1", false)];
    const request = requestOf(modelOf(layers, 1e9), nodes);
    expect(replicas(request, 2)?.placements.map((placement) => hostsOf(placement).join())).toEqual(["a", "b"]);
    expect(replicas(request, 3)).toBeNull();
  });
});

describe("as many as are worth it", () => {
  test.prop([anyRequest(9), objective], { numRuns: 250 })(
    "never less in sum than one, more only by a margin, and no stream slower than one machine alone",
    (asked, wish) => {
      const request = { ...asked, objective: wish };
      const single = plan(request);
      const set = replicas(request, "auto");
      expect(set !== null).toBe(single.feasible);
      if (set === null || !single.feasible) return;
      valid(set, request);
      expect(set.tokensPerSecond).toBeGreaterThanOrEqual(rateOf(single) * (1 - ROUNDING));
      if (set.placements.length === 1) return;
      expect(set.tokensPerSecond).toBeGreaterThanOrEqual(rateOf(single) * (1 + REPLICA_GAIN_MIN) * (1 - ROUNDING));
      for (const node of request.nodes) {
        const alone = plan({ ...request, nodes: [node] });
        if (!alone.feasible) continue;
        for (const placement of set.placements)
          expect(streamOf(placement)).toBeGreaterThanOrEqual(streamOf(alone) * (1 - SLOWER_THAN_ALONE_MAX) * (1 - ROUNDING));
      }
    },
  );

  const layers = Array.from({ length: 8 }, () => ({ weight: 1, active: 1, cache: 0 }));
  const machines = (...bandwidths: number[]) =>
    bandwidths.map((bandwidth, index) => ({
      name: `n${index}`,
      memoryBytes: 12e9,
      bandwidthBytesPerSecond: bandwidth * 1e9,
      canHead: true,
    }));
  test.each([
    ["equal machines serve one each", [100, 100, 100], 3],
    ["a machine a little slower serves as well", [100, 95], 2],
    ["a slow one would make some streams slower than the fast one alone", [100, 40], 1],
  ])("%s", (_, bandwidths, count) => {
    const request = requestOf(modelOf(layers, 1e9), machines(...bandwidths));
    expect(replicas(request, "auto")?.placements).toHaveLength(count);
    expect(replicas(request, bandwidths.length)?.placements).toHaveLength(bandwidths.length);
  });
});
