import type { Placement, PlanStage, Refusal } from "@clusterd/wire";
import { expect, test } from "vitest";
import { plain } from "../text/style.ts";
import { planLines } from "./plan-view.ts";

const stage = (node: string, firstLayer: number, lastLayer: number, hopMs: number): PlanStage => ({
  node,
  firstLayer,
  lastLayer,
  weightBytes: 4e9,
  kvBytes: 1e9,
  bufferBytes: 0,
  memoryBytes: 5e9,
  budgetBytes: 10e9,
  computeMs: 40,
  hopMs,
});

const placement: Placement = {
  feasible: true,
  objective: "latency",
  head: "big",
  context: 8192,
  slots: 1,
  kv: "f16",
  flashAttention: true,
  speculation: { type: "ngram", draft: null } as unknown as Placement["speculation"],
  model: { name: "thing", layerCount: 20, layers: [], inputBytes: 1e9, outputBytes: 1e9, hiddenBytes: 4096 },
  costs: {
    stageOverheadMs: 1,
    contextTokensRead: 4096,
    headBufferBytes: 1e8,
    workerBufferBytes: 1e8,
    workerBufferBytesPerLayer: 0,
  },
  stages: [stage("big", 0, 11, 0), stage("small", 12, 19, 1.5)],
  predicted: {
    msPerToken: 100,
    headMs: 18.5,
    tokensPerSecond: 10,
    low: 8.5,
    high: 12,
    timeToFirstTokenMs: 2500,
    promptTokens: 512,
  },
  certificate: { optimal: true, method: "m", lowerBoundMsPerToken: 100, explored: 3 },
  runnerUp: null,
  alternatives: [
    { head: "small", stages: [stage("small", 0, 7, 0), stage("big", 8, 19, 1.5)], msPerToken: 125 },
    { head: "big", stages: [stage("big", 0, 18, 0), stage("pi", 19, 19, 9)], msPerToken: 200 },
  ],
  bottleneck: { kind: "link", node: "small", ms: 1.5, share: 0.015 },
  unused: [
    { node: "pi", why: "slower with it", msPerTokenIfUsed: 150 },
    { node: "pi-2", why: "slower with it", msPerTokenIfUsed: 150 },
    { node: "tv", why: "too small", msPerTokenIfUsed: null },
  ],
  notes: ["Context 8192."],
  why: ["Because \u001b[31mso\u001b[0m."],
};

test("a plan's screen has the speed with its range, the first token, stages, reasons, and what was left out at what cost", () => {
  const lines = planLines(placement, plain);
  expect(lines[1]).toBe(
    "10.0 tokens/s predicted (8.5 to 12.0), 100 ms per token, first token of a 512-token prompt after 2.5 s · head big",
  );
  const text = lines.join("\n");
  expect(text).toMatch(/big head\s+0–11\s+████████░░░░░░░░ 5\.00? GB of 10\.0 GB/u);
  expect(text).toContain("Because \\x1b[31mso");
  expect(text).toContain("  pi, pi-2: slower with it (with it 150 ms per token, +50.0 %)");
  expect(text).toContain("  tv: too small");
  expect(text).toContain("  Context 8192.");
  expect(text).not.toContain("125");
  expect(lines.length).toBeLessThan(24);
});

test("the time to a first token is left out where it is not known", () => {
  const unknown = { ...placement, predicted: { ...placement.predicted, timeToFirstTokenMs: null } };
  expect(planLines(unknown, plain)[1]).toBe("10.0 tokens/s predicted (8.5 to 12.0), 100 ms per token · head big");
});

test("a head without layers is named with what it takes", () => {
  const text = planLines({ ...placement, head: "desk" }, plain).join("\n");
  expect(text).toContain("desk is the head: embedding and output, 2.1 GB, 18.5 ms");
});

test("the best other placements are a line each, and no more than asked for", () => {
  const text = planLines(placement, plain, 1).join("\n");
  expect(text).toMatch(/2\s+8\.0\s+125\s+25\.0 %\s+small\s+small 0–7 \+ big 8–19/u);
  expect(text).not.toContain("pi 19");
  expect(planLines(placement, plain, 2).join("\n")).toContain("big 0–18 + pi 19");
  expect(planLines({ ...placement, alternatives: [] }, plain, 2).at(-1)).toMatch(/no other placement/u);
});

test("of many machines left out the rest is counted", () => {
  const unused = Array.from({ length: 40 }, (_, index) => ({
    node: `n${index}`,
    why: `reason ${index % 10}`,
    msPerTokenIfUsed: null,
  }));
  const lines = planLines({ ...placement, unused }, plain);
  expect(lines.filter((line) => line.includes("reason"))).toHaveLength(8);
  expect(lines).toContain("  and 8 more");
});

test("a refusal gives its numbers, reasons and what would help", () => {
  const refusal: Refusal = {
    feasible: false,
    reason: "memory",
    bytesNeeded: 9e9,
    bytesAvailable: 8e9,
    shortByBytes: 1e9,
    suggestions: ["--kv q8_0"],
    why: ["It needs more."],
  };
  const text = planLines(refusal, plain).join("\n");
  expect(text).toMatch(/needed 9\.0 GB, available 8\.0 GB, short by 1\.0 GB/u);
  expect(text).toContain("It needs more.");
  expect(text).toContain("try: --kv q8_0");
});
