import { fc, test } from "@fast-check/vitest";
import type { ClusterState, DeploymentView } from "@clusterd/wire";
import { describe, expect } from "vitest";
import { planBench, predictedFirstTokenMs } from "./bench-plan.ts";
import { spreadOf, undisturbed } from "./figures.ts";
import { workAround } from "./others-watch.ts";
import { promptText } from "./prompt-text.ts";
import { decodeRate } from "./run-bench.ts";

const values = fc.array(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }), {
  minLength: 1,
  maxLength: 30,
});

test.prop([values])("a spread is of the values, half of them on either side", (all) => {
  const spread = spreadOf(all);
  expect(spread).toMatchObject({ low: Math.min(...all), high: Math.max(...all), rounds: all.length });
  const median = spread?.median ?? NaN;
  expect(all.filter((one) => one <= median).length).toBeGreaterThanOrEqual(all.length / 2);
  expect(all.filter((one) => one >= median).length).toBeGreaterThanOrEqual(all.length / 2);
});

test("nothing is no figure; what was disturbed counts only where there is nothing else", () => {
  expect(spreadOf([])).toBeNull();
  expect(spreadOf([Number.NaN, Infinity])).toBeNull();
  expect(
    undisturbed([
      { value: 1, disturbed: true },
      { value: 9, disturbed: false },
    ]),
  ).toMatchObject({ median: 9, rounds: 1 });
  expect(
    undisturbed([
      { value: 1, disturbed: true },
      { value: 3, disturbed: true },
    ]),
  ).toMatchObject({ median: 2, rounds: 2 });
});

const deployed = (context: number, predictedTokensPerSecond: number, timeToFirstTokenMs: number | null): DeploymentView =>
  ({
    context,
    slots: 1,
    predictedTokensPerSecond,
    prediction: { timeToFirstTokenMs, promptTokens: 512 },
  }) as unknown as DeploymentView;

describe("what is measured", () => {
  test.prop([
    fc.integer({ min: 64, max: 200_000 }),
    fc.integer({ min: 1, max: 16 }),
    fc.double({ min: 0.1, max: 1_000, noNaN: true }),
    fc.option(fc.array(fc.integer({ min: 1, max: 300_000 }), { minLength: 1, maxLength: 8 })),
    fc.option(fc.integer({ min: 2, max: 10_000 })),
    fc.option(fc.integer({ min: 1, max: 64 })),
  ])("fits the context, and is something", (context, slots, rate, prompts, tokens, streams) => {
    const plan = planBench(deployed(context, rate, 1_000), slots, { prompts, tokens, streams });
    expect(plan.prompts.length).toBeGreaterThan(0);
    expect(plan.tokens).toBeGreaterThan(0);
    for (const length of plan.prompts) {
      expect(length).toBeGreaterThan(0);
      expect(length + plan.tokens).toBeLessThanOrEqual(context);
    }
    expect(plan.streams[0]).toBe(1);
  });

  test("slow machines are given less, unless somebody asks for it; what is left out is said", () => {
    const wish = { prompts: null, tokens: null, streams: null };
    const slow = planBench(deployed(8_192, 1, 20_000), 1, wish);
    expect(slow).toMatchObject({ prompts: [128, 512], tokens: 30, streams: [1] });
    expect(slow.notes.join(" ")).toMatch(/2048 tokens are left out.*one slot/);
    expect(planBench(deployed(8_192, 1, 20_000), 1, { ...wish, prompts: [2_048], tokens: 64 })).toMatchObject({
      prompts: [2_048],
      tokens: 64,
    });
    expect(planBench(deployed(8_192, 100, 100), 6, wish)).toMatchObject({
      prompts: [128, 512, 2_048],
      tokens: 64,
      streams: [1, 4],
      notes: [],
    });
    expect(planBench(deployed(1_024, 100, 100), 1, { ...wish, streams: 3 }).notes.join(" ")).toMatch(
      /1024\. 3 streams share 1 slot:/,
    );
  });

  test("a prediction grows with the prompt", () => {
    expect(predictedFirstTokenMs(deployed(1, 1, 100), 1_024)).toBe(200);
    expect(predictedFirstTokenMs(deployed(1, 1, null), 1_024)).toBeNull();
  });
});

test("prompts are of so many words, and differ", () => {
  let at = 0;
  const random = (): number => (at = (at + 0.137) % 1);
  const one = promptText(20, random);
  expect(one.split(" ")).toHaveLength(20);
  expect(promptText(20, random)).not.toBe(one);
});

test("several streams' tokens come in the time from the first to the last", () => {
  expect(decodeRate([{ tokens: 11, firstMs: 1_000, lastMs: 2_000 }])).toBe(10);
  expect(
    decodeRate([
      { tokens: 11, firstMs: 1_000, lastMs: 2_000 },
      { tokens: 11, firstMs: 2_000, lastMs: 3_000 },
    ]),
  ).toBe(10);
});

test("who else works on the same machines is counted, and nobody else", () => {
  const view = (model: string, head: string, stages: readonly string[], active: number): unknown => ({
    model,
    head,
    stages: stages.map((node) => ({ node })),
    queue: { active, waiting: 1 },
  });
  const deployments = [
    view("m", "a", ["b"], 1),
    view("other", "b#1", ["c"], 1),
    view("near", "c", ["b#1"], 2),
    view("far", "d", ["d"], 4),
  ];
  expect(workAround({ deployments } as unknown as ClusterState, "m" as DeploymentView["model"])).toBe(2 + 3);
});
