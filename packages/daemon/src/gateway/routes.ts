import {
  ambiguous,
  modelsNamed,
  type AdvertDeployment,
  type AdvertModel,
  type ContentId,
  type DeploymentId,
  type DeploymentView,
  type ModelId,
} from "@clusterd/wire";
import type { Route } from "@clusterd/gateway";
import type { DaemonState } from "../state/daemon-state.ts";
import { displayNames } from "../state/names.ts";
import { allDeployments } from "../state/view.ts";
import { chooseReplica, type Replica } from "./choose-replica.ts";

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
    run: String(view.epoch),
    onDemand: view.onDemand !== null && view.onDemand !== undefined,
    embeddings: models.get(contentId)?.embeddings === true,
    infill: models.get(contentId)?.infill ?? null,
  }));
}

/** Every model that a node tells of, once for each. */
const modelsOf = (state: DaemonState): readonly AdvertModel[] => [
  ...state.own.models,
  ...[...state.others.values()].flatMap((other) => other.advert.models),
];

/** The contents that a name means, among models and deployments that nobody's file has a name for. Of a name that several go by: none. */
function contentsNamed(
  wanted: string,
  models: readonly AdvertModel[],
  deployments: readonly AdvertDeployment[],
): ReadonlySet<ContentId> {
  const deployed = deployments.flatMap(({ contentId, view }) => [
    { contentId, id: view.model, aliases: [] },
    ...models.filter((model) => model.contentId === contentId),
  ]);
  // Where one of several is deployed, that is meant.
  const clear = [[...models, ...deployed], deployed].find((each) => ambiguous(wanted, each).length === 0) ?? [];
  return new Set(modelsNamed(wanted, clear).map(({ contentId }) => contentId));
}

/**
 * A model's replicas: the deployments that a name of the model's own means, its id or any name under which a node knows it. Where a name has
 * come to mean other files since (a hub's branch that moved), those that run these; the others answer until such a one is deployed.
 */
function replicasOf(state: DaemonState, name: string): readonly AdvertDeployment[] {
  const wanted = name.trim();
  const models = modelsOf(state);
  const deployments = allDeployments(state);
  const known = contentsNamed(wanted, models, deployments);
  const found = deployments.filter(({ contentId }) => known.has(contentId));
  const now = new Set(modelsNamed(wanted, models).map(({ contentId }) => contentId));
  const current = found.filter(({ contentId }) => now.has(contentId));
  return current.length > 0 ? current : found;
}

/** The id of the model that a name means, deployed or not; null: none is called so. */
export function modelNamed(state: DaemonState, name: string): ModelId | null {
  const [deployed] = replicasOf(state, name);
  if (deployed !== undefined) return deployed.view.model;
  const models = modelsOf(state);
  const contents = contentsNamed(name.trim(), models, []);
  return models.find((model) => contents.has(model.contentId))?.id ?? null;
}

/** Whether a model answers now. */
export function isReady(state: DaemonState, model: ModelId): boolean {
  return replicasOf(state, model).some(({ view }) => view.state === "ready" && !isSuspect(state, view));
}

/** How much a deployment has to do now: waiting, or with a turn. */
type WorkOf = (deployment: AdvertDeployment) => number;

function asReplica(state: DaemonState, deployment: AdvertDeployment, workOf: WorkOf): Replica {
  const { id, view } = deployment;
  return {
    deployment: id,
    phase: view.state,
    isOwn: view.head === state.self,
    isSuspect: isSuspect(state, view),
    slots: view.slots,
    work: workOf(deployment),
    tokensPerSecond: view.measuredTokensPerSecond ?? view.predictedTokensPerSecond,
  };
}

/** The replica for a request: see choose-replica.ts. */
export function replicaFor(
  state: DaemonState,
  name: string,
  request: { readonly conversation: string | null; readonly warm: DeploymentId | null; readonly workOf: WorkOf },
): DeploymentId | null {
  const replicas = replicasOf(state, name).map((each) => asReplica(state, each, request.workOf));
  return chooseReplica(replicas, request.warm, request.conversation)?.deployment ?? null;
}

/** A replica of a model that answers now, other than some; null: there is none. */
export function readyReplica(
  state: DaemonState,
  content: ContentId,
  except: ReadonlySet<DeploymentId>,
  workOf: WorkOf,
): DeploymentId | null {
  const replicas = allDeployments(state)
    .filter(({ id, contentId }) => contentId === content && !except.has(id))
    .map((each) => asReplica(state, each, workOf))
    .filter(({ phase, isSuspect: silent }) => phase === "ready" && !silent);
  return chooseReplica(replicas, null, null)?.deployment ?? null;
}

/** What a deployment runs; null: there is none such. */
export function contentOf(state: DaemonState, deployment: DeploymentId): ContentId | null {
  return allDeployments(state).find(({ id }) => id === deployment)?.contentId ?? null;
}

function isSuspect(state: DaemonState, { head }: DeploymentView): boolean {
  return head !== state.self && state.others.get(head)?.state !== "alive";
}
