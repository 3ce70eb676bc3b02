import type { Catalog } from "@clusterd/catalog";
import { ClusterdError, DEPLOYMENTS_PER_NODE_MAX, type DeploymentId, type DeployRequest, type DeployWish } from "@clusterd/wire";
import { newDeployment } from "../planning/headed.ts";
import type { HeadedDeployment } from "../state/daemon-state.ts";
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

/** For the place of a model on the hub, in the background. */
const PLACE_MS_MAX = 60_000;
const HUB_ID = /^[^/:]+\/[^/:]+:[^/:]+$/u;

export function createHeadedHere(store: Store, catalog: Pick<Catalog, "byContent" | "locate">): HeadedHere {
  /** Of a model that members have in parts: where the rest is, should one of them be lost. Nothing waits for it. */
  async function findPlace({ id, model, contentId, asked }: HeadedDeployment): Promise<void> {
    if ((asked.parts ?? null) === null || (asked.hub ?? null) !== null || !HUB_ID.test(model)) return;
    // Without a hub, or where it has something else by now, they do with what they have.
    const found = await catalog.locate(`hf:${model}`, AbortSignal.timeout(PLACE_MS_MAX)).catch(() => null);
    if (found?.profile.contentId === contentId) store.dispatch({ type: "deployment-located", id, hub: found.place });
  }

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
      void findPlace(deployment);
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
