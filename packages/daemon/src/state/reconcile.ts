import { placeOf, type DeploymentId, type NodeId } from "@clusterd/wire";
import type { DaemonState, HeadedDeployment } from "./daemon-state.ts";

/** What is really running here. */
export interface Observed {
  readonly running: ReadonlySet<DeploymentId>;
}

export type Action =
  | { readonly type: "start"; readonly id: DeploymentId }
  | { readonly type: "stop"; readonly id: DeploymentId }
  | { readonly type: "replan"; readonly id: DeploymentId }
  | { readonly type: "forget"; readonly id: DeploymentId };

/** Compares what is wanted with what runs and says what to do next: at most one action per deployment. Pure. */
export function reconcile(state: DaemonState, observed: Observed, nowMs: number): readonly Action[] {
  const actions: Action[] = [];
  for (const deployment of state.deployments.values()) {
    const action = nextAction(state, deployment, observed, nowMs);
    if (action !== null) actions.push(action);
  }
  return actions;
}

function nextAction(state: DaemonState, deployment: HeadedDeployment, observed: Observed, nowMs: number): Action | null {
  const { id } = deployment;
  const runs = observed.running.has(id);
  if (!deployment.wanted) return runs ? { type: "stop", id } : { type: "forget", id };
  if (runs) return stageLost(state, deployment) === null ? null : { type: "stop", id };
  if (nowMs < deployment.retryAtMs) return null;
  if (deployment.phase === "planning") return { type: "start", id };
  if (deployment.phase !== "recovering") return null;
  const gone = stageLost(state, deployment) ?? stageSilent(state, deployment);
  return { type: gone === null ? "start" : "replan", id };
}

/** The first node of a deployment's stages that is not there any more, or null. */
export function stageLost(state: DaemonState, deployment: HeadedDeployment): NodeId | null {
  for (const stage of deployment.placement.stages) {
    const { node } = placeOf(stage.node as NodeId);
    if (node === state.self) continue;
    const other = state.others.get(node);
    if (other === undefined || other.state === "left") return node;
  }
  return null;
}

/** The first node of a deployment's stages that is not heard of at the moment, or null. */
export function stageSilent(state: DaemonState, deployment: HeadedDeployment): NodeId | null {
  const nodes = deployment.placement.stages.map((stage) => placeOf(stage.node as NodeId).node);
  return nodes.find((node) => state.others.get(node)?.state === "suspect") ?? null;
}

/** When the loop has to look again by itself, in monotonic milliseconds; Infinity when only an event can change anything. */
export function nextLookMs(state: DaemonState, nowMs: number): number {
  let next = Infinity;
  for (const { phase, retryAtMs } of state.deployments.values()) {
    if (phase === "recovering" && retryAtMs > nowMs) next = Math.min(next, retryAtMs);
  }
  return next;
}
