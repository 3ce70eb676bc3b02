import type { DeploymentId, NodeId } from "@clusterd/wire";
import type { DaemonState } from "../state/daemon-state.ts";
import { allDeployments } from "../state/view.ts";

/** Bytes that live deployments take on every node, but for those in `except`. */
export function usedMemory(state: DaemonState, except: ReadonlySet<DeploymentId>): ReadonlyMap<NodeId, number> {
  const used = new Map<NodeId, number>();
  for (const { id, view } of allDeployments(state)) {
    if (view.state === "failed" || except.has(id)) continue;
    for (const stage of view.stages) {
      used.set(stage.node, (used.get(stage.node) ?? 0) + stage.weightBytes + stage.kvBytes + stage.bufferBytes);
    }
  }
  return used;
}
