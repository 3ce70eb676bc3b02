import { readModelFile } from "@clusterd/catalog";
import { asContentId, asDeploymentId, asNodeId, type DeviceInfo, type Placement } from "@clusterd/wire";
import { expect, test } from "vitest";
import { BUNDLED_MODELS } from "../offline/bundled-models.ts";
import type { DaemonState, HeadedDeployment } from "../state/daemon-state.ts";
import { createProposalFinder } from "./find-proposal.ts";
import { newDeployment } from "./headed.ts";
import { planForCluster, withNodeIds } from "./plan-cluster.ts";

const [SELF, OTHER] = [asNodeId("self"), asNodeId("other")];
const device = (bandwidthBytesPerSecond: number): DeviceInfo => ({
  platform: "linux-x64",
  chip: "chip",
  memoryBytesTotal: 8e9,
  memoryBytesFree: 8e9,
  memoryBytesBudget: 8e9,
  bandwidthBytesPerSecond,
  bandwidthSource: "flag",
  accelerators: [],
});

test("a faster machine is proposed, one that drains is not; while nothing changes, what was found stands", async () => {
  const [bundled] = BUNDLED_MODELS;
  const { signal } = new AbortController();
  const { profile } = await readModelFile(bundled?.path ?? "", { signal });
  const models = [{ contentId: profile.contentId }];
  const stateWith = (own: number, other: number, draining = false): DaemonState => {
    const advert = { node: OTHER, name: "other", device: device(other), links: [], models, draining, deployments: [] };
    const facts = { name: "self", device: device(own), links: [], models, draining: false };
    const others = new Map([[OTHER, { advert, state: "alive" }]]);
    return { self: SELF, own: facts, others, deployments: new Map() } as unknown as DaemonState;
  };
  const slow = stateWith(0.2e9, 0.1e9);
  const asked = { head: null, pins: [], without: [], replan: "ask" } as const;
  const wish = {
    ...asked,
    objective: "latency",
    context: 512,
    slots: 1,
    kv: "f16",
    flashAttention: true,
    speculation: "off",
    draft: null,
  } as const;
  const plan = planForCluster(slow, profile, wish, new Set());
  const placement = withNodeIds(slow, plan as Placement);
  expect(placement.head).toBe(SELF);
  const id = asDeploymentId("d");
  const deployment: HeadedDeployment = newDeployment(id, "m", asContentId(profile.contentId), placement, null, asked);

  const finder = createProposalFinder();
  expect(finder.find(slow, deployment, profile)).toBeNull();
  const faster = finder.find(stateWith(0.2e9, 2e9), deployment, profile);
  expect(faster).toMatchObject({ head: OTHER, stages: [{ node: OTHER, firstLayer: 0, lastLayer: 15 }] });
  expect(faster?.gain).toBeGreaterThan(1);
  expect(finder.find(stateWith(0.2e9, 2e9), deployment, profile)).toBe(faster);
  expect(finder.find(stateWith(0.2e9, 2e9, true), deployment, profile)).toBeNull();
  expect(finder.find(stateWith(0.2e9, 4e9), deployment, profile)?.gain).toBeGreaterThan(faster?.gain ?? Infinity);
});
