import type { DeploymentId, NodeId } from "@clusterd/wire";
import type { DaemonState } from "../state/daemon-state.ts";
import { memoryInUse } from "./cluster-machines.ts";
import { allDeployments } from "../state/view.ts";

/** Bytes that live deployments take on every node, but for those in `except`. */
export function usedMemory(state: DaemonState, except: ReadonlySet<DeploymentId>): ReadonlyMap<NodeId, number> {
  return memoryInUse(
    allDeployments(state)
      .filter(({ id }) => !except.has(id))
      .map(({ view }) => view),
  );
}
