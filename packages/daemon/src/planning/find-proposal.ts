import { plan, repricePlacement } from "@clusterd/planner";
import type { DeploymentId, ModelProfile, NodeId, PlanRequest, ProposalView } from "@clusterd/wire";
import type { DaemonState, HeadedDeployment } from "../state/daemon-state.ts";
import { placeNames } from "../state/names.ts";
import { askedWish, sameStages } from "./headed.ts";
import { clusterRequest, withNodeIds } from "./plan-cluster.ts";
import { objectiveMs } from "./replan-policy.ts";

/** Looks for a better placement of what runs; throws where what was asked for cannot be planned any more. */
export interface ProposalFinder {
  find(state: DaemonState, deployment: HeadedDeployment, profile: ModelProfile): ProposalView | null;
  forget(id: DeploymentId): void;
}

/** A plan may take a fifth of a second of a daemon that passes tokens on: while nothing has changed, what was found stands. */
export function createProposalFinder(): ProposalFinder {
  const known = new Map<DeploymentId, { readonly question: string; readonly found: ProposalView | null }>();
  return {
    find(state, deployment, profile) {
      const { id, placement } = deployment;
      const { request } = clusterRequest(state, profile, askedWish(deployment), new Set([id]));
      const { nodes, links } = request;
      const question = JSON.stringify([nodes, links, placement.head, placement.stages]);
      const last = known.get(id);
      if (last?.question === question) return last.found;
      const found = better(state, deployment, request);
      known.set(id, { question, found });
      return found;
    },
    forget: (id) => void known.delete(id),
  };
}

/** The best placement for now, where that is another one; both priced with the figures of now. */
function better(state: DaemonState, { placement }: HeadedDeployment, request: PlanRequest): ProposalView | null {
  const names = placeNames(state);
  const nameOf = (node: string): string => names.get(node as NodeId) ?? node;
  // Null where one of its nodes is gone or gives no more work: the control loop sees to the one, a person to the other.
  const held = repricePlacement(
    request,
    placement.stages.map((stage) => ({ ...stage, node: nameOf(stage.node) })),
    nameOf(placement.head),
  );
  if (held === null) return null;
  const best = plan(request);
  if (!best.feasible) return null;
  const proposed = withNodeIds(state, best);
  if (sameStages(proposed, placement)) return null;
  const { objective } = placement;
  const msDeployed = objectiveMs(objective, held);
  const msProposed = objectiveMs(objective, { stages: best.stages, msPerToken: best.predicted.msPerToken });
  if (msDeployed === null || msProposed === null || msProposed <= 0 || msDeployed <= msProposed) return null;
  return {
    head: proposed.head as NodeId,
    stages: proposed.stages.map(({ node, firstLayer, lastLayer }) => ({ node: node as NodeId, firstLayer, lastLayer })),
    msDeployed,
    msProposed,
    gain: msDeployed / msProposed - 1,
  };
}
