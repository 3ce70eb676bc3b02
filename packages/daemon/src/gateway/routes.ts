import { sameModel, type AdvertDeployment, type AdvertModel, type DeploymentId } from "@clusterd/wire";
import type { Route } from "@clusterd/gateway";
import type { DaemonState } from "../state/daemon-state.ts";
import { displayNames } from "../state/names.ts";
import { allDeployments } from "../state/view.ts";

/** Deployments as the gateway routes to them. */
export function routesOf(state: DaemonState, createdSeconds: (id: DeploymentId) => number): readonly Route[] {
  const names = displayNames(state);
  const models = new Map(modelsOf(state).map((model) => [model.contentId, model]));
  return allDeployments(state).map(({ id, contentId, view }) => ({
    model: view.model,
    deployment: id,
    phase: view.state,
    reason: view.reason,
    head: { id: view.head, name: names.get(view.head) ?? view.head },
    context: view.context,
    slots: view.slots,
    work: { active: view.queue.active, waiting: view.queue.waiting },
    speculationPaused: view.speculation.type !== "off" && !view.speculation.active,
    createdSeconds: createdSeconds(id),
    embeddings: models.get(contentId)?.embeddings === true,
    infill: models.get(contentId)?.infill ?? null,
  }));
}

/** Every model that a node tells of, once for each. */
const modelsOf = (state: DaemonState): readonly AdvertModel[] => [
  ...state.own.models,
  ...[...state.others.values()].flatMap((other) => other.advert.models),
];

/** The deployment that a request's model names: by id, alias, or any name under which a node knows the model. Ready ones first. */
export function findDeployment(state: DaemonState, model: string): AdvertDeployment | null {
  const wanted = model.trim();
  const known = new Set<string>();
  for (const candidate of modelsOf(state)) {
    if (sameModel(candidate.id, wanted) || candidate.aliases.some((alias) => sameModel(alias, wanted)))
      known.add(candidate.contentId);
  }
  const matches = allDeployments(state).filter(
    ({ contentId, view }) =>
      sameModel(view.model, wanted) || view.aliases.some((alias) => sameModel(alias, wanted)) || known.has(contentId),
  );
  return matches.sort((a, b) => rank(a) - rank(b))[0] ?? null;
}

function rank({ view }: AdvertDeployment): number {
  const order = ["ready", "recovering", "loading", "fetching", "planning", "draining", "failed"];
  return order.indexOf(view.state);
}
