import { describe, expect, test } from "vitest";
import type { BandwidthSource, LayerProfile, PlannerNode, PlanStage } from "@clusterd/wire";
import { findBottleneck, predictFirstToken, predictSpeed, type Predicted } from "./predict.ts";

const stage = (node: string, firstLayer: number, lastLayer: number, computeMs: number, hopMs: number): PlanStage =>
  ({ node, firstLayer, lastLayer, computeMs, hopMs }) as PlanStage;
const node = (name: string, more: Partial<PlannerNode> = {}): [string, PlannerNode] => [
  name,
  { name, memoryBytes: 0, bandwidthBytesPerSecond: 100e9, canHead: true, ...more },
];
const placed = (stages: readonly PlanStage[], headMs = 1): Predicted => ({
  stages,
  head: "a",
  headMs,
  msPerToken: stages.reduce((sum, { computeMs, hopMs }) => sum + computeMs + hopMs, headMs),
  stageOverheadMs: 1,
});

describe("the range of a prediction", () => {
  const two = placed([stage("a", 0, 3, 41, 0), stage("b", 4, 7, 61, 4)]);
  const width = (sources: readonly [BandwidthSource, BandwidthSource]): number => {
    const [a, b] = sources;
    const { low, tokensPerSecond } = predictSpeed(
      two,
      new Map([node("a", { bandwidthSource: a }), node("b", { bandwidthSource: b })]),
    );
    return tokensPerSecond / low - 1;
  };

  test("is as narrow as its sources are good, and errors of different sources partly cancel", () => {
    expect(width(["decode", "decode"])).toBeLessThan(width(["probe", "probe"]));
    expect(width(["probe", "probe"])).toBeLessThan(width(["table", "table"]));
    expect(width(["table", "flag"])).toBeLessThan(width(["table", "table"]));
  });

  test("is reckoned from milliseconds: 15 % of what is read, a quarter of the hops, half of the overheads, added in squares", () => {
    const { low, high, tokensPerSecond } = predictSpeed(
      two,
      new Map([node("a", { bandwidthSource: "table" }), node("b", { bandwidthSource: "table" })]),
    );
    const offMs = Math.hypot(0.15 * (40 + 60 + 1), 0.25 * 4, 0.5 * 2);
    expect(tokensPerSecond).toBeCloseTo(1000 / 107, 9);
    expect([low, high]).toEqual([1000 / (107 + offMs), 1000 / (107 - offMs)]);
  });
});

describe("where most of a token's time goes", () => {
  test.each<[string, Predicted, object]>([
    [
      "reading on one machine, the output on the head with it",
      placed([stage("a", 0, 3, 31, 0), stage("b", 4, 7, 31, 4)]),
      { kind: "memory bandwidth", node: "a", ms: 31 },
    ],
    ["one wire", placed([stage("a", 0, 3, 5, 0), stage("b", 4, 7, 6, 40)]), { kind: "link", node: "b", ms: 40 }],
    ["steps of a small model", placed([stage("a", 0, 3, 1.1, 0), stage("b", 4, 7, 1.2, 0.5)], 0.1), { kind: "overhead", ms: 1 }],
    [
      "the output on a head without layers",
      placed([stage("b", 0, 7, 6, 2)], 30),
      { kind: "memory bandwidth", node: "a", ms: 30 },
    ],
  ])("%s", (_, from, found) => expect(findBottleneck(from)).toMatchObject(found));
});

describe("the first token", () => {
  const layers = Array.from({ length: 8 }, (): LayerProfile => ({ weightBytes: 1e8, activeParameters: 1e8 }) as LayerProfile);
  const fast = { flopsPerSecond: 1e12 };
  const noHop = (): number => 0;

  test("of one machine: arithmetic for every token, and nothing where that is not known", () => {
    const alone = placed([stage("a", 0, 7, 9, 0)]);
    // 2 × 8e8 operations a token, 1024 tokens, 1e12 a second: 1638.4 ms, two micro-batches, and the output.
    expect(predictFirstToken(alone, layers, new Map([node("a", fast)]), noHop, 1024)).toBeCloseTo(1638.4 + 2 + 1, 6);
    expect(predictFirstToken(alone, layers, new Map([node("a")]), noHop, 1024)).toBeNull();
  });

  test("a prompt of a few tokens still reads all the weights", () => {
    const alone = placed([stage("a", 0, 7, 9, 0)]);
    expect(predictFirstToken(alone, layers, new Map([node("a", fast)]), noHop, 1)).toBeCloseTo((8e8 / 100e9) * 1000 + 1 + 1, 6);
  });

  test("of two machines: half a stage works while the other does", () => {
    const two = placed([stage("a", 0, 3, 5, 0), stage("b", 4, 7, 5, 1)]);
    const both = new Map([node("a", fast), node("b", fast)]);
    const one = predictFirstToken(placed([stage("a", 0, 7, 9, 0)]), layers, both, noHop, 4096) ?? 0;
    const split = predictFirstToken(two, layers, both, noHop, 4096) ?? 0;
    expect(split).toBeLessThan(one * 0.6);
    expect(split).toBeGreaterThan(one * 0.5);
    const slowWire = predictFirstToken(two, layers, both, ({ node: where }) => (where === "b" ? 500 : 0), 4096) ?? 0;
    expect(slowWire).toBeGreaterThan(16 * 500);
  });
});
