import { placeOf, type ModelProfile, type NodeId, type ProposalView } from "@clusterd/wire";
import type { DaemonState, HeadedDeployment } from "../state/daemon-state.ts";
import { askedWish, sameStages } from "./headed.ts";
import { planForCluster, withNodeIds } from "./plan-cluster.ts";
import { objectiveMs } from "./replan-policy.ts";

/** The best placement for now of a deployment that runs, where that is another one; both priced with the figures of now. */
export function findProposal(state: DaemonState, deployment: HeadedDeployment, profile: ModelProfile): ProposalView | null {
  const { placement } = deployment;
  const replaced = new Set([deployment.id]);
  const best = planForCluster(state, profile, askedWish(deployment), replaced);
  if (!best.feasible) return null;
  const proposed = withNodeIds(state, best);
  if (sameStages(proposed, placement)) return null;
  // The deployed placement is a plan in which everything is pinned.
  const pins = placement.stages.map(({ node, firstLayer, lastLayer }) => ({ node: node as NodeId, firstLayer, lastLayer }));
  const held = planForCluster(
    state,
    profile,
    { ...askedWish(deployment), head: placement.head as NodeId, pins, without: [] },
    replaced,
  );
  const draining = [...state.others.values()].some(
    ({ advert }) => advert.draining && placement.stages.some((stage) => placeOf(stage.node as NodeId).node === advert.node),
  );
  if (!held.feasible || draining) return null;
  const { objective } = placement;
  const msDeployed = objectiveMs(objective, { stages: held.stages, msPerToken: held.predicted.msPerToken });
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
