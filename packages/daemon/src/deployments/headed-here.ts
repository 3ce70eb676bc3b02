import type { Catalog } from "@clusterd/catalog";
import { ClusterdError, DEPLOYMENTS_PER_NODE_MAX, type DeploymentId, type DeployRequest, type DeployWish } from "@clusterd/wire";
import { newDeployment } from "../planning/headed.ts";
import type { Store } from "../state/store.ts";

/** The deployments that this node heads, as others and the planner ask for them. The control loop does the rest. */
export interface HeadedHere {
  /** Throws `not_found` where a file is missing that the head needs, `does_not_fit` where there are too many. */
  start(request: Omit<DeployRequest, "type">): void;
  /** False where there is no such deployment here. */
  stop(id: DeploymentId): boolean;
  /** How long a deployment here stays; what a person loaded stays as it is (false). */
  keep(id: DeploymentId, onDemand: DeployWish["onDemand"]): boolean;
}

export function createHeadedHere(store: Store, catalog: Pick<Catalog, "byContent">): HeadedHere {
  return {
    start({ deployment: id, contentId, placement, wish }) {
      const model = catalog.byContent(contentId)?.profile.id ?? wish.hub?.id ?? wish.parts ?? null;
      if (model === null)
        throw new ClusterdError("not_found", "This node does not have the model's file and cannot be its head.");
      if (store.state.deployments.size >= DEPLOYMENTS_PER_NODE_MAX)
        throw new ClusterdError("does_not_fit", `This node heads ${DEPLOYMENTS_PER_NODE_MAX} deployments already.`);
      const wanted = placement.speculation.draft;
      const draft = wanted === null ? null : (catalog.byContent(wanted.contentId)?.profile ?? null);
      if (wanted !== null && draft === null)
        throw new ClusterdError("not_found", `This node does not have the draft model ${wanted.model} and cannot be the head.`);
      const deployment = newDeployment(id, model, contentId, placement, draft, wish);
      store.dispatch({ type: "deployment-wanted", deployment });
    },
    stop(id) {
      const known = store.state.deployments.has(id);
      store.dispatch({ type: "deployment-unwanted", id });
      return known;
    },
    keep(id, onDemand) {
      const asked = store.state.deployments.get(id)?.asked;
      if (asked?.onDemand === null || asked?.onDemand === undefined) return false;
      store.dispatch({ type: "deployment-kept", id, onDemand: onDemand ?? null });
      return true;
    },
  };
}
