import { ambiguous, modelsNamed, type AdvertModel, type DeploymentId, type NodeId } from "@clusterd/wire";
import { partNamed } from "../planning/model-places.ts";
import type { DaemonState } from "../state/daemon-state.ts";

/** A model that a request may have loaded. */
export type KnownModel = Pick<AdvertModel, "id" | "contentId">;

/** The models that nodes which are there have. */
function modelsThere(state: DaemonState): readonly AdvertModel[] {
  const others = [...state.others.values()].filter((other) => other.state === "alive");
  return [...state.own.models, ...others.flatMap((other) => other.advert.models)];
}

/**
 * The model that a request names by its id, its REF or any name under which a node knows it; null where no node that is there has it, or where
 * it is not clear which is meant. Of different models of one name the one that most nodes have, so that every node means the same; then what they have in parts.
 */
export function knownModel(state: DaemonState, name: string): KnownModel | null {
  const wanted = name.trim();
  const there = modelsThere(state);
  if (ambiguous(wanted, there).length > 0) return null;
  const found = new Map<string, { readonly model: AdvertModel; count: number }>();
  for (const model of modelsNamed(wanted, there)) {
    const entry = found.get(model.contentId);
    if (entry === undefined) found.set(model.contentId, { model, count: 1 });
    else entry.count += 1;
  }
  const [best] = [...found.values()].sort((a, b) => b.count - a.count || (a.model.contentId < b.model.contentId ? -1 : 1));
  if (best !== undefined) return best.model;
  // Nobody has all of it, but several may have it together; whether they do is looked at when it is loaded.
  const part = partNamed(state, wanted)?.part ?? null;
  return part === null ? null : { id: part.model, contentId: part.contentId };
}

/** The node that decides about loads for requests, one after the other: of those that are there, the one with the lowest id. */
export function decidingNode(state: DaemonState): NodeId {
  const there = [...state.others].filter(([, other]) => other.state === "alive").map(([id]) => id);
  return there.reduce((lowest, id) => (id < lowest ? id : lowest), state.self);
}

/** Whether a deployment went with its head. */
export function isLost({ others }: DaemonState, deployment: DeploymentId): boolean {
  return [...others.values()].some(
    ({ state, advert }) => state === "left" && advert.deployments.some(({ id }) => id === deployment),
  );
}
