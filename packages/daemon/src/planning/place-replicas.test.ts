import { readModelFile } from "@clusterd/catalog";
import {
  asContentId,
  asDeploymentId,
  asNodeId,
  type AdvertDeployment,
  type DeploymentPhase,
  type DeviceInfo,
  type ModelProfile,
  type NodeId,
} from "@clusterd/wire";
import { beforeAll, expect, test } from "vitest";
import { BUNDLED_MODELS } from "../offline/bundled-models.ts";
import type { DaemonState, PlanWish } from "../state/daemon-state.ts";
import { placeReplicas, runsAs } from "./place-replicas.ts";
import { clusterRequest, planForCluster, withNodeIds } from "./plan-cluster.ts";

const NODES = ["a", "b", "c"].map(asNodeId);
const { signal } = new AbortController();
const ID = asDeploymentId("d1");
const NONE: ReadonlySet<typeof ID> = new Set();
let profile: ModelProfile;
let wish: PlanWish;

beforeAll(async () => {
  ({ profile } = await readModelFile(BUNDLED_MODELS[0]?.path ?? "", { signal }));
  wish = {
    objective: "latency",
    head: null,
    pins: [],
    without: [],
    context: 512,
    slots: 1,
    kv: "f16",
    flashAttention: true,
    speculation: "off",
    draft: null,
  };
});

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

/** Three nodes, of which the middle one heads what it is given. */
function stateWith(deployments: readonly AdvertDeployment[], bandwidths: readonly number[] = [2e9, 9e9, 2e9]): DaemonState {
  const facts = NODES.map((node, index) => ({
    node,
    name: node,
    device: device(bandwidths[index] ?? 0),
    links: [],
    models: [{ contentId: profile.contentId }],
    draining: false,
    deployments: node === "b" ? deployments : [],
  }));
  const others = new Map(facts.slice(1).map((advert) => [advert.node, { advert, state: "alive" }]));
  return { self: NODES[0], own: facts[0], others, deployments: new Map() } as unknown as DaemonState;
}

function runningOn(node: NodeId, state: DeploymentPhase = "ready", content: string = profile.contentId): AdvertDeployment {
  const stage = { node, firstLayer: 0, lastLayer: 15, weightBytes: 1, kvBytes: 1, bufferBytes: 1 };
  const view = { model: "m", state, head: node, stages: [stage], context: 512, slots: 1 };
  return { id: ID, contentId: asContentId(content), view } as unknown as AdvertDeployment;
}

test("what is planned for one replica takes no host of another, though there is room", () => {
  const taken = stateWith([runningOn(asNodeId("b"))]);
  expect(planForCluster(taken, profile, wish, NONE)).toMatchObject({ feasible: true, head: expect.stringMatching(/^[ac]$/) });
  // Of the one that is planned anew the own host counts, as does another model's, and what is going.
  expect(planForCluster(taken, profile, wish, new Set([ID]))).toMatchObject({ head: "b" });
  expect(planForCluster(stateWith([runningOn(asNodeId("b"), "ready", "other")]), profile, wish, NONE)).toMatchObject({
    head: "b",
  });
  for (const phase of ["failed", "draining"] as const)
    expect(planForCluster(stateWith([runningOn(asNodeId("b"), phase)]), profile, wish, NONE)).toMatchObject({ head: "b" });
  expect(
    clusterRequest(stateWith([runningOn(asNodeId("b"))]), profile, { ...wish, without: [asNodeId("c")] }, NONE).request.without,
  ).toEqual(["b", "c"]);
});

test("replicas go to hosts of their own, and what runs so already is known again", async () => {
  const state = stateWith([], [9e9, 9e9, 1e9]);
  const place = (replicas: number | "auto") => placeReplicas(state, profile, wish, NONE, { replicas, signal });
  expect((await place("auto")).placements.map(({ head }) => head)).toEqual(["a", "b"]);
  const { placements } = await place(3);
  expect(placements.map(({ head }) => head).sort()).toEqual(["a", "b", "c"]);
  const plan = placements.find(({ head }) => head === "b");
  if (plan === undefined) throw new Error("b was to have one");
  expect(withNodeIds(state, plan).head).toBe("b");
  expect(runsAs(state, runningOn(asNodeId("b")), plan)).toBe(true);
  expect(runsAs(state, runningOn(asNodeId("c")), plan)).toBe(false);
  expect(runsAs(state, runningOn(asNodeId("b")), { ...plan, context: 1024 })).toBe(false);
  await expect(place(4)).rejects.toMatchObject({
    code: "does_not_fit",
    message: expect.stringContaining("4 times"),
    next: expect.stringContaining("--replicas 3"),
    details: { reason: "head", feasible: false },
  });
});
