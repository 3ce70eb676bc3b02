import { readlinkSync } from "node:fs";
import type { ClusterState, DeploymentView, StageView } from "../../packages/wire/src/index.ts";
import { MODEL, type Cluster } from "../../test/cluster/harness/cluster.ts";
import { processes, usageOf } from "../../test/cluster/harness/processes.ts";

const POLL_MS = 150;
const READY_MS_MAX = 120_000;
const GONE_MS_MAX = 60_000;
/** After the last process is gone: until buffers and timers are, too. */
const SETTLE_MS = 12_000;

export const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

export const deploymentIn = (state: ClusterState): DeploymentView | null =>
  state.deployments.find(({ model }) => model === MODEL) ?? null;

/** As a person would; `body` says how. */
export async function loadModel(cluster: Cluster, body: Readonly<Record<string, unknown>>): Promise<void> {
  const answer = await cluster.head.post("/cluster/v1/load", { model: "demo", ...body });
  const { error } = JSON.parse(answer) as { error?: { message: string } };
  if (error !== undefined) throw new Error(`the model was not loaded: ${error.message}`);
}

/**
 * Waits until all nodes are there and the model answers in an epoch or deployment after the one given. Where it was given up after
 * too many crashes it is loaded again, as its last words ask for. Returns how often.
 */
export async function whenReady(cluster: Cluster, body: Readonly<Record<string, unknown>>, epoch: number): Promise<number> {
  const deadline = performance.now() + READY_MS_MAX;
  let loads = 0;
  for (;;) {
    const state = await cluster.head.peek();
    const view = deploymentIn(state);
    const whole = state.nodes.length === cluster.nodes.length && state.nodes.every((node) => node.state === "alive");
    if (whole && view?.state === "ready" && (loads > 0 || view.epoch > epoch)) return loads;
    if (whole && (view === null || view.state === "failed")) {
      await loadModel(cluster, body);
      loads += 1;
    }
    if (performance.now() > deadline)
      throw new Error(`not ready: ${JSON.stringify(view)} ${state.nodes.map((node) => `${node.name} ${node.state}`).join(", ")}`);
    await pause(POLL_MS);
  }
}

/** The stages of what runs, by the nodes' names. */
export async function stagesByName(cluster: Cluster): Promise<ReadonlyMap<string, StageView>> {
  const state = await cluster.head.peek();
  const names = new Map(state.nodes.map(({ id, name }) => [id, name]));
  return new Map((deploymentIn(state)?.stages ?? []).map((stage) => [names.get(stage.node) ?? stage.node, stage]));
}

/** What a daemon holds while nothing is deployed. */
export interface AtRest {
  readonly node: string;
  readonly descriptors: number;
  readonly residentBytes: number;
}

/** Takes the model off; tells what the daemons hold then, and the processes that should be gone and are not. */
export async function atRest(
  cluster: Cluster,
): Promise<{ readonly held: readonly AtRest[]; readonly orphans: readonly string[] }> {
  await cluster.head.post("/cluster/v1/unload", { model: MODEL });
  const deadline = performance.now() + GONE_MS_MAX;
  while (orphansOf(cluster).length > 0 && performance.now() < deadline) await pause(POLL_MS);
  await pause(SETTLE_MS);
  const held = cluster.nodes.map((node) => ({ node: node.host.name, ...usageOf(node.pid) }));
  return { held, orphans: orphansOf(cluster) };
}

/** With nothing deployed: whatever runs on a node's host besides its daemon, whoever its parent is; on a shared host its children. */
function orphansOf(cluster: Cluster): readonly string[] {
  const daemons = new Set(cluster.nodes.map(({ pid }) => pid));
  const ours = networkOf(process.pid);
  const hosts = new Set(cluster.nodes.map(({ pid }) => networkOf(pid)).filter((space) => space !== ours && space !== ""));
  return processes()
    .filter(({ pid, parent }) => !daemons.has(pid) && (daemons.has(parent) || hosts.has(networkOf(pid))))
    .map(({ pid, args }) => `${pid} ${args}`);
}

function networkOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    // Gone meanwhile.
    return "";
  }
}
