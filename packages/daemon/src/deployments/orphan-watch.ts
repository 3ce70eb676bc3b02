import type { DeploymentId, NodeId } from "@clusterd/wire";
import type { DaemonState } from "../state/daemon-state.ts";

/** A stage whose head does not know it any more is ended after so long. */
export const ORPHAN_MS = 10_000;

export interface StageOwner {
  readonly head: NodeId;
  readonly deployment: DeploymentId;
  readonly epoch: number;
}

/** Tells which stages nobody will ask for any more. */
export interface OrphanWatch {
  /**
   * Whether the stage's head has left or is at a later epoch, or has for a while told of no such deployment and epoch. `nowMs`: monotonic.
   */
  isOrphan(state: DaemonState, stage: StageOwner, nowMs: number): boolean;
}

export function createOrphanWatch(): OrphanWatch {
  const missedSinceMs = new Map<string, number>();
  return {
    isOrphan(state, { head, deployment, epoch }, nowMs) {
      const key = `${deployment}/${epoch}`;
      const known = epochOf(state, head, deployment);
      const over = known === "gone" || (known !== null && known > epoch);
      if (!over && known !== epoch) {
        const since = missedSinceMs.get(key) ?? nowMs;
        missedSinceMs.set(key, since);
        if (nowMs - since < ORPHAN_MS) return false;
      }
      missedSinceMs.delete(key);
      return known !== epoch;
    },
  };
}

/** The epoch that a head tells of a deployment; null where it tells of none. */
function epochOf(state: DaemonState, head: NodeId, deployment: DeploymentId): number | null | "gone" {
  if (head === state.self) return state.deployments.get(deployment)?.epoch ?? null;
  const other = state.others.get(head);
  if (other === undefined || other.state === "left") return "gone";
  return other.advert.deployments.find((candidate) => candidate.id === deployment)?.view.epoch ?? null;
}
