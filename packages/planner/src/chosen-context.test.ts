import { fc } from "@fast-check/vitest";
import type { Placement, PlanRequest } from "@clusterd/wire";
import { expect, test } from "vitest";
import { CONTEXT_CHOSEN_MAX } from "./chosen-context.ts";
import { CONTEXT_DEFAULT, plan } from "./plan.ts";
import { anyRequest, modelOf, requestOf } from "./testing/any-request.ts";

const ALL: readonly number[] = [32_768, 16_384, 8192, 4096, 2048, 1024, 512];

function placed(request: PlanRequest): Placement | null {
  const result = plan(request);
  return result.feasible ? result : null;
}
const where = ({ head, stages }: Placement): string =>
  [head, ...stages.map(({ node, firstLayer, lastLayer }) => `${node} ${firstLayer}-${lastLayer}`)].join(", ");

test("a context that nobody asked for is the largest that fits, and costs neither a machine nor speed", () => {
  fc.assert(
    fc.property(anyRequest(3), (request) => {
      const { context: _, ...open } = request;
      const chosen = placed(open);
      const fitting = ALL.filter((context) => context <= CONTEXT_DEFAULT).map((context) => placed({ ...open, context }));
      const base = fitting.find((placement) => placement !== null) ?? null;
      expect(chosen === null).toBe(base === null);
      if (chosen === null || base === null) return;
      expect(where(chosen)).toBe(where(base));
      expect(chosen.predicted.msPerToken).toBeCloseTo(base.predicted.msPerToken, 6);
      for (const stage of chosen.stages) expect(stage.memoryBytes).toBeLessThanOrEqual(stage.budgetBytes);
      // The next larger one has no room there: held to these places, it is refused.
      const larger = ALL.find((context) => context === chosen.context * 2);
      if (larger === undefined || !chosen.stages.some(({ node }) => node === chosen.head)) return;
      const pins = chosen.stages.map(({ node, firstLayer, lastLayer }) => ({ node, firstLayer, lastLayer }));
      expect(placed({ ...open, context: larger, head: chosen.head, pins })).toBe(null);
    }),
    { numRuns: 60 },
  );
});

test("it says how it came about", () => {
  const node = (gb: number) => ({ name: "a", memoryBytes: gb * 1e9, bandwidthBytesPerSecond: 1e11, canHead: true });
  const layers = Array.from({ length: 8 }, () => ({ weight: 1, active: 1, cache: 60_000 }));
  const { context: _, ...open } = requestOf(modelOf(layers, 1e9), [node(100)]);
  const noteOf = (request: PlanRequest): string => placed(request)?.notes.find((note) => note.startsWith("Context")) ?? "";
  expect(noteOf(open)).toBe("Context 32768: all that the model was made for.");
  const long = { ...open.model, contextMax: 131_072 };
  expect(noteOf({ ...open, model: long })).toContain("the model was made for 131072 (--ctx)");
  expect(placed({ ...open, model: long })?.context).toBe(CONTEXT_CHOSEN_MAX);
  expect(noteOf({ ...open, model: long, nodes: [node(25)] })).toMatch(/Context 16384: as large as has room/);
  expect(noteOf({ ...open, nodes: [node(13)] })).toMatch(/Context \d+: the largest of 8192, 4096, … that fits/);
  expect(noteOf({ ...open, context: 2048 })).toBe("");
});
