import { expect, test } from "vitest";
import { asModelId, asNodeId, type ClusterState } from "@clusterd/wire";
import { pageOf, sizeText } from "./view.ts";

const [a, b] = [asNodeId("a"), asNodeId("b")];
const device = {
  platform: "linux-x64",
  chip: "Chip",
  memoryBytesTotal: 10e9,
  memoryBytesFree: 5e9,
  memoryBytesBudget: 8e9,
  bandwidthBytesPerSecond: 50e9,
  bandwidthSource: "probe" as const,
  accelerators: [],
};
const node = (id: typeof a, name: string) => ({
  id,
  name,
  state: "alive" as const,
  version: "1",
  device,
  links: [],
  draining: false,
  engine: { fingerprint: "f", rpcProtocol: "7.0.0", llamaCpp: "v" },
});
const stage = (id: typeof a, firstLayer: number, lastLayer: number) => ({
  node: id,
  firstLayer,
  lastLayer,
  weightBytes: 2e9,
  activeBytes: 2e9,
  kvBytes: 1e8,
  bufferBytes: 1e8,
  predictedMsPerToken: 20,
  measuredMsPerToken: null,
  timing: null,
  progress: 0.5,
});
const state: ClusterState = {
  cluster: { id: "1", name: "home", open: false },
  self: a,
  standing: { kind: "member", code: null },
  nodes: [node(a, "mini"), node(b, "pi")],
  deployments: [
    {
      model: asModelId("m"),
      aliases: [],
      state: "loading",
      reason: null,
      epoch: 1,
      head: a,
      context: 4096,
      slots: 1,
      speculation: { type: "ngram", draft: null, acceptance: null, active: true },
      layerCount: 10,
      stages: [stage(a, 0, 6), stage(b, 7, 9)],
      predictedTokensPerSecond: 12.34,
      measuredTokensPerSecond: null,
      prediction: { low: 9, high: 11, promptTokens: 512, timeToFirstTokenMs: null, measuredTimeToFirstTokenMs: null, error: null },
      replan: "ask",
      proposal: null,
    },
  ],
  pending: [],
  models: [],
};

test("layers, bytes and hosts are told as they are", () => {
  const [card] = pageOf(state).deployments;
  expect(card?.segments.map((segment) => [segment.host, segment.rangeText, segment.layers, segment.bytesText])).toEqual([
    ["mini", "0–6", 7, "2.0 GB"],
    ["pi", "7–9", 3, "2.0 GB"],
  ]);
  expect(card?.progress).toBeCloseTo(0.5);
  expect(card?.segments.map((segment) => segment.isHead)).toEqual([true, false]);
});

test("what was not measured is not shown as a number", () => {
  const [card] = pageOf(state).deployments;
  expect(card?.speedText).toBe("not measured yet · 12.3 predicted");
  expect(card?.segments[0]?.measuredText).toBe("not measured");
});

test("a host's memory counts what live deployments use", () => {
  const [host] = pageOf(state).hosts;
  expect(host).toMatchObject({
    isSelf: true,
    usedShare: 0.22,
    memoryText: "2.2 GB in use of 8.0 GB for models; 10.0 GB in all, 5.0 GB free",
  });
  const failed = { ...state, deployments: state.deployments.map((deployment) => ({ ...deployment, state: "failed" as const })) };
  expect(pageOf(failed).hosts[0]?.usedShare).toBe(0);
});

test("sizes for people", () => {
  expect([0, 999, 1e6, 671e9].map(sizeText)).toEqual(["0 B", "999 B", "1.0 MB", "671 GB"]);
});
