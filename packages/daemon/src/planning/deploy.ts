import { randomBytes } from "node:crypto";
import type { LoadBody, LoadResult } from "@clusterd/gateway";
import {
  asDeploymentId,
  ClusterdError,
  sameModel,
  type AdvertDeployment,
  type ContentId,
  type ControlAnswers,
  type DeploymentId,
  type DeployRequest,
  type DeployWish,
  type ModelId,
  type ModelProfile,
  type NodeId,
  type Placement,
  type PlanResult,
} from "@clusterd/wire";
import { modelNamed } from "../gateway/routes.ts";
import { findRoom, isRoom, withEvictions } from "../on-demand/make-room.ts";
import { createRoomMaker } from "../on-demand/room-maker.ts";
import { allDeployments } from "../state/view.ts";
import { createFindModel, type FindModelConfig } from "./find-model.ts";
import { askedWish, inParts, partQuestion, sameStages } from "./headed.ts";
import { createHeadCommands, type HeadCommands, type HeadCommandsConfig } from "./head-commands.ts";
import { notAllThere, placesOf } from "./model-places.ts";
import { placeReplicas, runsAs } from "./place-replicas.ts";
import { planForCluster, withNodeIds } from "./plan-cluster.ts";
import { doesNotFit } from "./refusal-text.ts";
import { saysHow, wishOf } from "./wish.ts";

const DEPLOY_MS_MAX = 10_000;
/** How long a head may take to move a deployment. */
const REPLACE_MS_MAX = 30_000;

export interface DeployConfig extends HeadCommandsConfig, FindModelConfig {
  startHere(request: Omit<DeployRequest, "type">): void;
}

/** Planning, loading and unloading for the whole cluster, from any member. */
export interface Deployer {
  plan(body: LoadBody, signal: AbortSignal): Promise<PlanResult>;
  load(body: LoadBody, signal: AbortSignal): Promise<LoadResult>;
  unload(model: string, signal: AbortSignal): Promise<{ model: ModelId }>;
  /** Loads a model that a member has, because a request wants it; it goes after so many seconds of idleness (null: never). */
  loadForRequest(contentId: ContentId, keepAliveSeconds: number | null, signal: AbortSignal): Promise<DeploymentId>;
  readonly keep: HeadCommands["keep"];
  /** Moves a deployment that this node heads to the best placement for now, where that is another one. */
  replan(deployment: DeploymentId, signal: AbortSignal): Promise<ControlAnswers["replan"]>;
}

interface Change {
  readonly contentId: ContentId;
  readonly known: readonly AdvertDeployment[];
  readonly placements: readonly Placement[];
  /** Whether a deployment is what a placement asks for. */
  stays(deployment: AdvertDeployment, plan: Placement): boolean;
  begin(plan: Placement): Promise<DeploymentId>;
}

export function createDeployer(config: DeployConfig): Deployer {
  const { store, catalog } = config;
  const commands = createHeadCommands(config);
  const { stop, gone, keep } = commands;
  const makeRoom = createRoomMaker(store, commands);
  const models = createFindModel(config);

  function mustBeMember(): void {
    if (store.state.standing.kind !== "member")
      throw new ClusterdError("not_admitted", "This node is not in a cluster yet.", {
        next: "Approve it on a member, or give it the cluster's token.",
      });
  }

  /** A model's replicas. */
  function running(contentId: ContentId): readonly AdvertDeployment[] {
    return allDeployments(store.state).filter(
      (deployment) =>
        deployment.contentId === contentId && deployment.view.state !== "failed" && deployment.view.state !== "draining",
    );
  }

  const loaded = (model: ModelId, replicas: LoadResult["replicas"]): LoadResult => {
    const [first] = replicas;
    if (first === undefined) throw new ClusterdError("failed", "A load has led to no deployment.");
    return { ...first, model, replicas };
  };

  /** Begins a deployment on its head's node; the placement names nodes by what people see. */
  async function start(
    { contentId, wish, plan }: Pick<DeployRequest, "contentId" | "wish"> & { readonly plan: Placement },
    signal: AbortSignal,
  ): Promise<DeploymentId> {
    const placement = withNodeIds(store.state, { ...plan, alternatives: [] });
    const deployment = asDeploymentId(randomBytes(8).toString("hex"));
    const request = { deployment, contentId, placement, wish };
    const head = placement.head as NodeId;
    if (head === store.state.self) config.startHere(request);
    else await config.ask(head, { type: "deploy", ...request }, AbortSignal.any([signal, AbortSignal.timeout(DEPLOY_MS_MAX)]));
    return deployment;
  }

  /** Takes off what failed of a model that is loaded anew. */
  async function stopFailed(contentId: ContentId, signal: AbortSignal): Promise<void> {
    for (const broken of allDeployments(store.state)) {
      if (broken.contentId === contentId && broken.view.state === "failed") await stop(broken, signal).catch(() => undefined);
    }
  }

  /** Makes of what runs of a model what is placed, nodes by name: what stays is a person's from now on, what does not goes first. */
  async function become(
    { contentId, known, placements, stays, begin }: Change,
    signal: AbortSignal,
  ): Promise<LoadResult["replicas"]> {
    const kept = new Map<Placement, AdvertDeployment>();
    for (const plan of placements) {
      const found = known.find((deployment) => ![...kept.values()].includes(deployment) && stays(deployment, plan));
      if (found !== undefined) kept.set(plan, found);
    }
    for (const deployment of known) if (![...kept.values()].includes(deployment)) await stop(deployment, signal);
    if (kept.size < placements.length) await stopFailed(contentId, signal);
    const replicas: { deployment: DeploymentId; plan: Placement }[] = [];
    for (const plan of placements) {
      const old = kept.get(plan);
      if (old !== undefined) await keep(old.id, null, signal);
      replicas.push({ deployment: old?.id ?? (await begin(plan)), plan });
    }
    return replicas;
  }

  /** A load that only says `replan: now`: to where the deployment's own wishes lead with the figures of now. */
  async function move(body: LoadBody, profile: ModelProfile, known: readonly AdvertDeployment[], signal: AbortSignal) {
    const { replan: _, ...rest } = body;
    if (known.length === 0 || rest.replicas !== undefined || saysHow(rest)) {
      throw new ClusterdError("invalid_request", "Only what is deployed can be moved, and only as it was asked for.", {
        next: known.length === 0 ? "Load it first: clusterd load REF" : "Leave out the other wishes, or load it anew with them.",
        param: "replan",
      });
    }
    const replicas: { deployment: DeploymentId; plan: Placement }[] = [];
    for (const { id, view } of known) {
      const waiting = AbortSignal.any([signal, AbortSignal.timeout(REPLACE_MS_MAX)]);
      const moved =
        view.head === store.state.self
          ? await replan(id, signal)
          : await config.ask(view.head, { type: "replan", deployment: id }, waiting);
      replicas.push({ deployment: moved.deployment, plan: moved.placement });
    }
    return loaded(profile.id, replicas);
  }

  /** Those of a model that have failed and whose head is there to begin them anew. */
  function failedOf(contentId: ContentId): readonly AdvertDeployment[] {
    const { self, others } = store.state;
    const isThere = (head: NodeId): boolean => head === self || others.get(head)?.state === "alive";
    return allDeployments(store.state).filter(
      (deployment) => deployment.contentId === contentId && deployment.view.state === "failed" && isThere(deployment.view.head),
    );
  }

  async function replan(id: DeploymentId, signal: AbortSignal): Promise<ControlAnswers["replan"]> {
    const headed = store.state.deployments.get(id);
    const file = headed === undefined ? null : config.fileOf(headed.contentId);
    if (headed === undefined || file === null)
      throw new ClusterdError("not_found", "That deployment is not headed by this node any more.");
    const { missing } = placesOf(store.state, file.profile);
    const question = partQuestion(headed.asked);
    if (missing.bytes > 0 && question.fromHub !== true) throw notAllThere(store.state, headed.model, file.profile, missing);
    const plan = planForCluster(store.state, file.profile, askedWish(headed), new Set([id]), question);
    if (!plan.feasible) throw doesNotFit(headed.model, plan);
    const stands = headed.phase !== "failed" && sameStages(withNodeIds(store.state, plan), headed.placement);
    if (stands) return { deployment: id, placement: plan, moved: false };
    config.stopHere(id);
    await gone(id, signal);
    const { contentId, asked: wish } = headed;
    return { deployment: await start({ contentId, wish, plan }, signal), placement: plan, moved: true };
  }

  return {
    replan,
    async plan(body, signal) {
      mustBeMember();
      const profile = await models.profileOf(body.model, signal, "describe");
      const draft = body.draft === undefined ? null : await models.profileOf(body.draft, signal, "describe");
      if (body.replicas !== undefined)
        throw new ClusterdError("invalid_request", "A plan is of one deployment: `load` places replicas.", { param: "replicas" });
      const replaced = running(profile.contentId).map(({ id }) => id);
      const wish = wishOf(store.state, body, draft);
      const { top, promptTokens } = body;
      const question = { top, promptTokens, asIfThere: true, fromHub: body.model.startsWith("hf:") };
      const found = findRoom(store.state, profile, wish, new Set(replaced), question);
      return isRoom(found) ? withEvictions(found) : found.refusal;
    },
    async load(body, signal) {
      mustBeMember();
      const { profile, hub } = await models.toLoad(body.model, signal);
      const draft = body.draft === undefined ? null : await models.profileOf(body.draft, signal);
      const known = running(profile.contentId);
      if (body.replan === "now") return move(body, profile, known.length > 0 ? known : failedOf(profile.contentId), signal);
      const wish = wishOf(store.state, body, draft);
      const replacing = new Set(known.map(({ id }) => id));
      const says = saysHow(body);
      // Loading what is loaded is no work, unless it is to be done differently.
      const isSame = known.length > 0 && !says && (body.replicas ?? known.length) === known.length;
      const replicas = isSame ? known.length : (body.replicas ?? 1);
      const question = { fromHub: hub !== null };
      const placements =
        replicas === 1 && !isSame
          ? [await makeRoom(profile, wish, replacing, { signal, forRequest: false, question })]
          : (await placeReplicas(store.state, profile, wish, replacing, { replicas, signal, question })).placements;
      const stays = (deployment: AdvertDeployment, plan: Placement): boolean =>
        !says && (placements.length === known.length || runsAs(store.state, deployment, plan));
      const { head, pins, without } = wish;
      const parts = inParts(store.state, profile);
      const asked = { head, pins, without, replan: body.replan ?? "ask", context: wish.context, hub, parts };
      const begin = (plan: Placement): Promise<DeploymentId> =>
        start({ contentId: profile.contentId, wish: asked, plan }, signal);
      // What a request had loaded stays from now on.
      await Promise.all(known.map(({ id }) => keep(id, null, signal)));
      return loaded(profile.id, await become({ contentId: profile.contentId, known, placements, stays, begin }, signal));
    },
    async loadForRequest(contentId, keepAliveSeconds, signal) {
      mustBeMember();
      const profile = await models.byContent(contentId, signal);
      const wish = wishOf(store.state, { model: profile.id }, null);
      const { missing } = placesOf(store.state, profile);
      if (missing.bytes > 0) throw notAllThere(store.state, profile.id, profile, missing);
      const plan = await makeRoom(profile, wish, new Set(), { signal, forRequest: true });
      await stopFailed(contentId, signal);
      const { head, pins, without } = wish;
      const parts = inParts(store.state, profile);
      const asked: DeployWish = { head, pins, without, replan: "ask", parts, onDemand: { keepAliveSeconds } };
      return start({ contentId, wish: asked, plan }, signal);
    },
    keep,
    async unload(model, signal) {
      mustBeMember();
      const named = modelNamed(store.state, model) ?? catalog.known(model)?.profile.id ?? model;
      const found = allDeployments(store.state).filter(({ view }) => sameModel(view.model, named));
      const [first] = found;
      if (first === undefined)
        throw new ClusterdError("model_not_found", `${model} is not deployed.`, { next: "See what is with: clusterd ps" });
      await Promise.all(found.map((deployment) => stop(deployment, signal)));
      return { model: first.view.model };
    },
  };
}
