import { expect, test } from "vitest";
import { asContentId, asModelId, asNodeId, type ClusterState } from "@clusterd/wire";
import { pageOf, sizeText, type DeploymentCard } from "./view.ts";

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
      queue: { active: 1, waiting: 2, limit: 256 },
      speculation: { type: "ngram", draft: null, acceptance: null, active: true },
      layerCount: 10,
      stages: [stage(a, 0, 6), stage(b, 7, 9)],
      predictedTokensPerSecond: 12.34,
      measuredTokensPerSecond: null,
      prediction: {
        low: 9,
        high: 11,
        promptTokens: 512,
        timeToFirstTokenMs: null,
        measuredTimeToFirstTokenMs: null,
        error: null,
      },
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

test("a prediction is shown with its range, its outcome once there is one, and a better placement with the way to it", () => {
  const [loading] = state.deployments;
  if (loading === undefined) throw new Error("no deployment");
  const shown = (more: Partial<typeof loading>): DeploymentCard | undefined =>
    pageOf({ ...state, deployments: [{ ...loading, ...more }] }).deployments[0];
  expect([shown({})?.predictionText, shown({})?.proposalText]).toEqual(["predicted 9.0 to 11.0 tokens/s", null]);
  const prediction = { ...loading.prediction, error: -0.042, timeToFirstTokenMs: 900, measuredTimeToFirstTokenMs: 1240 };
  expect(shown({ prediction })?.predictionText).toBe(
    "predicted 9.0 to 11.0 tokens/s, off by −4 % · first token of a 512-token prompt: 0.9 s predicted, 1.2 s measured",
  );
  const proposal = { head: b, stages: [{ node: b, firstLayer: 0, lastLayer: 9 }], msDeployed: 12, msProposed: 10, gain: 0.2 };
  expect(shown({ proposal })?.proposalText).toBe(
    "Placed anew (pi 0–9) it would be 20 % faster. To move it: clusterd load m --replan now",
  );
  expect(shown({ proposal, replan: "auto" })?.proposalText).toContain("moves when it is idle");
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

test("who is answered and who waits", () => {
  const [card] = pageOf(state).deployments;
  expect(card?.queueText).toBe("1 being answered · 2 of at most 256 waiting");
  const idle = {
    ...state,
    deployments: state.deployments.map((each) => ({ ...each, queue: { active: 0, waiting: 0, limit: 256 } })),
  };
  expect(pageOf(idle).deployments[0]?.queueText).toBe("idle");
});

test("a disk is told as it is: what fetched models take, what else does, and what of models is there in parts", () => {
  expect(pageOf(state).hosts.map(({ disk }) => disk)).toEqual([null, null]);
  const contentId = asContentId("c0ffee00");
  const held = [{ contentId, model: asModelId("big"), layers: "0-9,12", hasHead: true, diskBytes: 2.1e9, fetching: null }];
  const disk = { totalBytes: 100e9, freeBytes: 60e9, usedBytes: 10e9, capBytes: 20e9 };
  const model = { id: asModelId("m"), name: "m", architecture: "llama", quantisation: "Q8_0", fileBytes: 3e9, layerCount: 10 };
  const models = [{ ...model, contextMax: 4096, nodes: [a, b], diskBytes: [3e9, null], aliases: [] }];
  const page = pageOf({ ...state, nodes: [{ ...node(a, "mini"), disk, held }, node(b, "pi")], models });
  expect(page.hosts[0]?.disk).toEqual({
    usedShare: 0.1,
    otherShare: 0.3,
    capShare: 0.2,
    text: "Disk: fetched models take 10.0 GB of 20.0 GB allowed; 60.0 GB of 100 GB free",
    parts: [{ key: contentId, text: "layers 0–9,12, embeddings and output of big", bytesText: "2.1 GB" }],
  });
  expect(page.models[0]?.copiesText).toBe("mini (3.0 GB), pi");
});
