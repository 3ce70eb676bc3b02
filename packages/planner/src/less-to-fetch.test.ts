import { fc, test } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import type { HeldLayers, Placement, PlannerNode, PlanRequest } from "@clusterd/wire";
import { SLOWER_FOR_LESS } from "./less-to-fetch.ts";
import { plan } from "./plan.ts";
import { anyRequest, modelOf, requestOf } from "./testing/any-request.ts";
import { toFetch } from "./to-fetch.ts";

const LAYERS = 16;
const LAYER_BYTES = 1e9;
const model = modelOf(
  Array.from({ length: LAYERS }, () => ({ weight: 1, active: 1, cache: 0 })),
  LAYER_BYTES,
);
const range = (first: number, last: number): readonly number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);
const node = (name: string, held: HeldLayers, memoryBytes = 7e9): PlannerNode => ({
  name,
  memoryBytes,
  bandwidthBytesPerSecond: 100e9,
  canHead: true,
  held,
});
const NOTHING: HeldLayers = { layers: [], head: false };

function placed(request: PlanRequest): Placement {
  const result = plan(request);
  if (!result.feasible) throw new Error(result.why.join(" "));
  return result;
}

function fetched(request: PlanRequest, { head, stages }: Placement): number {
  const lacks = (name: string): ReturnType<typeof toFetch> =>
    toFetch(request.model, request.nodes.find((each) => each.name === name)?.held ?? NOTHING);
  const layers = stages.reduce((sum, stage) => sum + lacks(stage.node)({ ...stage, isHead: false }), 0);
  return layers + lacks(head)({ firstLayer: 0, lastLayer: -1, isHead: true });
}

const ranges = ({ stages }: Placement): Readonly<Record<string, string>> =>
  Object.fromEntries(stages.map((stage) => [stage.node, `${stage.firstLayer}-${stage.lastLayer}`]));

describe.each(["latency", "spread", "throughput"] as const)("%s, a node replaced by an equal one", (objective) => {
  const before = placed(
    requestOf(
      model,
      ["b", "c", "d", "e"].map((name) => node(name, NOTHING)),
      { objective, head: "b" },
    ),
  );
  const heldBy = (name: string): HeldLayers => {
    const stage = before.stages.find((each) => each.node === name);
    return { layers: stage === undefined ? [] : range(stage.firstLayer, stage.lastLayer), head: before.head === name };
  };

  test.each(["c", "d", "e"])("%s is gone: the others keep their layers, wherever the new one's name sorts", (gone) => {
    const stay = ["b", "c", "d", "e"].filter((name) => name !== gone);
    for (const fresh of ["a", "cc", "z"]) {
      const request = requestOf(model, [...stay.map((name) => node(name, heldBy(name))), node(fresh, NOTHING)], { objective });
      const after = placed(request);
      const lost = ranges(before)[gone];
      expect(ranges(after)).toEqual({ ...Object.fromEntries(stay.map((name) => [name, ranges(before)[name]])), [fresh]: lost });
      expect(after.head).toBe("b");
      // Each stage says what it lacks: all of the lost one's layers, and nothing else.
      for (const stage of after.stages) expect(stage.fetchBytes).toBe(stage.node === fresh ? stage.weightBytes : 0);
    }
  });

  test("without word of the disks it is as if they had nothing", () => {
    const known = ["a", "b", "c", "d"].map((name) => node(name, NOTHING));
    const unknown = known.map(({ name, memoryBytes, bandwidthBytesPerSecond, canHead }) => ({
      name,
      memoryBytes,
      bandwidthBytesPerSecond,
      canHead,
    }));
    const plain = requestOf(model, unknown, { objective });
    const result = placed(plain);
    expect(result.stages.every((stage) => !("fetchBytes" in stage))).toBe(true);
    expect(result.certificate.method).not.toContain("to fetch");
  });
});

test("what was moved to the others in the meantime stays of use", () => {
  const held = { b: range(0, 5), c: range(4, 10), e: range(10, 15) };
  const request = requestOf(
    model,
    [...Object.entries(held).map(([name, layers]) => node(name, { layers, head: name === "b" })), node("a", NOTHING)],
    { objective: "spread" },
  );
  const after = placed(request);
  expect(fetched(request, after)).toBe(4 * LAYER_BYTES);
  expect(after.stages.find((stage) => stage.node === "a")).toMatchObject({ firstLayer: 8, lastLayer: 11 });
  expect(after.notes.join(" ")).toContain("4.0 GB are to be fetched");
});

const withHeld = anyRequest(4).chain((request) =>
  fc
    .tuple(
      fc.constantFrom("latency", "throughput", "spread"),
      ...request.nodes.map(() => fc.record({ layers: fc.subarray([...request.model.layers.keys()]), head: fc.boolean() })),
    )
    .map(([objective, ...held]): readonly [PlanRequest, PlanRequest] => [
      { ...request, objective },
      {
        ...request,
        objective,
        nodes: request.nodes.map((each, index) => ({ ...each, held: held[index] ?? NOTHING })),
      },
    ]),
);

const msOf = ({ objective, stages, predicted }: Placement): number =>
  objective === "throughput" ? Math.max(...stages.map((stage) => stage.computeMs + stage.hopMs)) : predicted.msPerToken;

test.prop([withHeld], { numRuns: 800 })(
  "never more to fetch, never slower by more than that, and the proof still holds",
  ([plain, known]) => {
    const [before, after] = [plan(plain), plan(known)];
    expect(after.feasible).toBe(before.feasible);
    if (!before.feasible || !after.feasible) return;
    expect(fetched(known, after)).toBeLessThanOrEqual(fetched(known, before));
    expect(msOf(after)).toBeLessThanOrEqual(msOf(before) * (1 + SLOWER_FOR_LESS) * (1 + 1e-9));
    expect(after.certificate.lowerBoundMsPerToken).toBe(before.certificate.lowerBoundMsPerToken);
    if (after.certificate.optimal && plain.objective !== "throughput")
      expect(msOf(after)).toBeLessThanOrEqual(Math.max(msOf(before), after.certificate.lowerBoundMsPerToken * 1.02) * (1 + 1e-9));
    let next = 0;
    for (const stage of after.stages) {
      expect(stage.firstLayer).toBe(next);
      expect(stage.memoryBytes).toBeLessThanOrEqual(stage.budgetBytes);
      next = stage.lastLayer + 1;
    }
    expect(next).toBe(known.model.layers.length);
    expect(after.stages.findIndex((stage) => stage.node === after.head)).toBeLessThanOrEqual(0);
    expect(after.stages.length).toBe(before.stages.length);
  },
);
