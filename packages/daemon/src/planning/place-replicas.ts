import { setImmediate as nextTurn } from "node:timers/promises";
import { planReplicas, type ReplicaSet } from "@clusterd/planner";
import { ClusterdError, type AdvertDeployment, type DeploymentId, type ModelProfile, type Placement } from "@clusterd/wire";
import type { DaemonState, PlanWish } from "../state/daemon-state.ts";
import { sameStages } from "./headed.ts";
import { clusterRequest, withFetchNotes, withNodeIds, type PlanQuestion } from "./plan-cluster.ts";
import { doesNotFit } from "./refusal-text.ts";

/** Where so many replicas of a model go on the cluster as it is now, nodes by name. Other work gets its turn between two plans. */
export async function placeReplicas(
  state: DaemonState,
  model: ModelProfile,
  wish: PlanWish,
  replacing: ReadonlySet<DeploymentId>,
  {
    replicas,
    signal,
    question = {},
  }: { readonly replicas: number | "auto"; readonly signal: AbortSignal; readonly question?: PlanQuestion },
): Promise<ReplicaSet> {
  const about = clusterRequest(state, model, wish, replacing, question);
  const steps = planReplicas(about.request, replicas);
  for (;;) {
    const step = steps.next();
    if (step.done !== true) {
      await nextTurn();
      signal.throwIfAborted();
      continue;
    }
    if (step.value.feasible) {
      const placements = step.value.placements.map((placement) => withFetchNotes(placement, about, state, question));
      return { ...step.value, placements };
    }
    if (replicas === 1 || replicas === "auto") throw doesNotFit(model.id, step.value);
    const { why, suggestions } = step.value;
    throw new ClusterdError("does_not_fit", `${model.id} does not fit ${replicas} times. ${why.join(" ")}`, {
      next: suggestions.join(" "),
      details: { ...step.value },
    });
  }
}

/** Whether a deployment runs just as a placement (nodes by name) would have it. */
export function runsAs(state: DaemonState, { view }: AdvertDeployment, placement: Placement): boolean {
  const planned = withNodeIds(state, placement);
  return view.context === planned.context && view.slots === planned.slots && sameStages(view, planned);
}
