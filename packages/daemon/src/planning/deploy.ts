import { randomBytes } from "node:crypto";
import type { Catalog } from "@clusterd/catalog";
import type { LoadBody } from "@clusterd/gateway";
import {
  asDeploymentId,
  ClusterdError,
  sameModel,
  type AdvertDeployment,
  type ContentId,
  type ControlAnswers,
  type ControlRequest,
  type DeploymentId,
  type DeployRequest,
  type DeployWish,
  type ModelId,
  type ModelProfile,
  type NodeId,
  type Placement,
  type PlanResult,
} from "@clusterd/wire";
import { findRoom, isRoom, withEvictions } from "../on-demand/make-room.ts";
import { createRoomMaker } from "../on-demand/room-maker.ts";
import type { Store } from "../state/store.ts";
import { allDeployments } from "../state/view.ts";
import { askedWish, sameStages } from "./headed.ts";
import { createHeadCommands, type HeadCommands, type HeadCommandsConfig } from "./head-commands.ts";
import { planForCluster, withNodeIds } from "./plan-cluster.ts";
import { doesNotFit } from "./refusal-text.ts";
import { saysHow, wishOf } from "./wish.ts";

const PROFILE_MS_MAX = 10_000;
const DEPLOY_MS_MAX = 10_000;
/** How long a head may take to move a deployment. */
const REPLACE_MS_MAX = 30_000;

export interface DeployConfig extends HeadCommandsConfig {
  readonly catalog: Catalog;
  /** A path given to this node is remembered: tell the members of the model. */
  modelsChanged(): void;
  startHere(request: Omit<DeployRequest, "type">): void;
}

/** Planning, loading and unloading for the whole cluster, from any member. */
export interface Deployer {
  plan(body: LoadBody, signal: AbortSignal): Promise<PlanResult>;
  load(body: LoadBody, signal: AbortSignal): Promise<{ deployment: DeploymentId; model: ModelId; plan: Placement }>;
  unload(model: string, signal: AbortSignal): Promise<{ model: ModelId }>;
  /** Loads a model that a member has, because a request wants it; it goes after so many seconds of idleness (null: never). */
  loadForRequest(contentId: ContentId, keepAliveSeconds: number | null, signal: AbortSignal): Promise<DeploymentId>;
  readonly keep: HeadCommands["keep"];
  /** Moves a deployment that this node heads to the best placement for now, where that is another one. */
  replan(deployment: DeploymentId, signal: AbortSignal): Promise<ControlAnswers["replan"]>;
}

export function createDeployer(config: DeployConfig): Deployer {
  const { store, catalog } = config;
  const commands = createHeadCommands(config);
  const { stop, gone, keep } = commands;
  const makeRoom = createRoomMaker(store, commands);

  /** The model's profile: from this node's disk, or from a member that has it; to describe it, also from the catalogue or a hub. */
  async function profileOf(ref: string, signal: AbortSignal, use: "describe" | "load" = "load"): Promise<ModelProfile> {
    const own = catalog.known(ref);
    if (own !== null) return own.profile;
    for (const [node, other] of store.state.others) {
      const model = other.advert.models.find(
        (candidate) => sameModel(candidate.id, ref) || candidate.aliases.some((alias) => sameModel(alias, ref)),
      );
      if (model === undefined || other.state !== "alive") continue;
      const answer = await config.ask(
        node,
        { type: "profile", contentId: model.contentId },
        AbortSignal.any([signal, AbortSignal.timeout(PROFILE_MS_MAX)]),
      );
      return answer.profile;
    }
    const profile = use === "describe" ? await catalog.describe(ref, signal) : (await catalog.resolve(ref, signal)).profile;
    config.modelsChanged();
    return profile;
  }

  async function profileOfContent(contentId: ContentId, signal: AbortSignal): Promise<ModelProfile> {
    const own = catalog.byContent(contentId);
    if (own !== null) return own.profile;
    const holder = [...store.state.others].find(
      ([, other]) => other.state === "alive" && other.advert.models.some((model) => model.contentId === contentId),
    );
    if (holder === undefined) throw new ClusterdError("not_found", "No node has that model any more.");
    const within = AbortSignal.any([signal, AbortSignal.timeout(PROFILE_MS_MAX)]);
    return (await config.ask(holder[0], { type: "profile", contentId }, within)).profile;
  }

  function mustBeMember(): void {
    if (store.state.standing.kind !== "member")
      throw new ClusterdError("not_admitted", "This node is not in a cluster yet.", {
        next: "Approve it on a member, or give it the cluster's token.",
      });
  }

  function running(contentId: ContentId): AdvertDeployment | null {
    return (
      allDeployments(store.state).find(
        (deployment) =>
          deployment.contentId === contentId && deployment.view.state !== "failed" && deployment.view.state !== "draining",
      ) ?? null
    );
  }

  /** Begins a deployment on its head's node; the placement names nodes by what people see. */
  async function start(
    { contentId, aliases, wish, plan }: Pick<DeployRequest, "contentId" | "aliases" | "wish"> & { readonly plan: Placement },
    signal: AbortSignal,
  ): Promise<DeploymentId> {
    const placement = withNodeIds(store.state, { ...plan, alternatives: [] });
    const deployment = asDeploymentId(randomBytes(8).toString("hex"));
    const request = { deployment, contentId, aliases, placement, wish };
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

  /** A load that only says `replan: now`: to where the deployment's own wishes lead with the figures of now. */
  async function move(body: LoadBody, profile: ModelProfile, known: AdvertDeployment | null, signal: AbortSignal) {
    const { replan: _, ...rest } = body;
    if (known === null || saysHow(rest)) {
      throw new ClusterdError("invalid_request", "Only what is deployed can be moved, and only as it was asked for.", {
        next: known === null ? "Load it first: clusterd load REF" : "Leave out the other wishes, or load it anew with them.",
        param: "replan",
      });
    }
    const { head } = known.view;
    const waiting = AbortSignal.any([signal, AbortSignal.timeout(REPLACE_MS_MAX)]);
    const moved =
      head === store.state.self
        ? await replan(known.id, signal)
        : await config.ask(head, { type: "replan", deployment: known.id }, waiting);
    return { deployment: moved.deployment, model: profile.id, plan: moved.placement };
  }

  async function replan(id: DeploymentId, signal: AbortSignal): Promise<ControlAnswers["replan"]> {
    const headed = store.state.deployments.get(id);
    const file = headed === undefined ? null : catalog.byContent(headed.contentId);
    if (headed === undefined || file === null)
      throw new ClusterdError("not_found", "That deployment is not headed by this node any more.");
    const plan = planForCluster(store.state, file.profile, askedWish(headed), new Set([id]));
    if (!plan.feasible) throw doesNotFit(headed.model, plan);
    if (sameStages(withNodeIds(store.state, plan), headed.placement)) return { deployment: id, placement: plan, moved: false };
    config.stopHere(id);
    await gone(id, signal);
    const { contentId, aliases, asked: wish } = headed;
    return { deployment: await start({ contentId, aliases, wish, plan }, signal), placement: plan, moved: true };
  }

  return {
    replan,
    async plan(body, signal) {
      mustBeMember();
      const profile = await profileOf(body.model, signal, "describe");
      const draft = body.draft === undefined ? null : await profileOf(body.draft, signal, "describe");
      const replaced = running(profile.contentId);
      const wish = wishOf(store.state, body, draft);
      const { top, promptTokens } = body;
      const question = { top, promptTokens, asIfThere: true };
      const found = findRoom(store.state, profile, wish, new Set(replaced === null ? [] : [replaced.id]), question);
      return isRoom(found) ? withEvictions(found) : found.refusal;
    },
    async load(body, signal) {
      mustBeMember();
      const profile = await profileOf(body.model, signal);
      const draft = body.draft === undefined ? null : await profileOf(body.draft, signal);
      const known = running(profile.contentId);
      if (body.replan === "now") return move(body, profile, known, signal);
      const wish = wishOf(store.state, body, draft);
      const replacing = new Set(known === null ? [] : [known.id]);
      // Loading what is loaded is no work, unless it is to be done differently; what a request loaded stays from now on.
      if (known !== null && !saysHow(body)) {
        const plan = planForCluster(store.state, profile, wish, replacing);
        if (!plan.feasible) throw doesNotFit(profile.id, plan);
        await keep(known.id, null, signal);
        return { deployment: known.id, model: known.view.model, plan };
      }
      const result = await makeRoom(profile, wish, replacing, { signal, forRequest: false });
      if (known !== null) await stop(known, signal);
      await stopFailed(profile.contentId, signal);
      const aliases = body.as === undefined ? [] : [body.as];
      const { head, pins, without } = wish;
      const asked = { head, pins, without, replan: body.replan ?? "ask" };
      const deployment = await start({ contentId: profile.contentId, aliases, wish: asked, plan: result }, signal);
      return { deployment, model: profile.id, plan: result };
    },
    async loadForRequest(contentId, keepAliveSeconds, signal) {
      mustBeMember();
      const profile = await profileOfContent(contentId, signal);
      const wish = wishOf(store.state, { model: profile.id }, null);
      const plan = await makeRoom(profile, wish, new Set(), { signal, forRequest: true });
      await stopFailed(contentId, signal);
      const { head, pins, without } = wish;
      const asked: DeployWish = { head, pins, without, replan: "ask", onDemand: { keepAliveSeconds } };
      return start({ contentId, aliases: [], wish: asked, plan }, signal);
    },
    keep,
    async unload(model, signal) {
      mustBeMember();
      const found = allDeployments(store.state).filter(
        ({ view }) =>
          sameModel(view.model, model) ||
          view.aliases.some((alias) => sameModel(alias, model)) ||
          catalog.known(model)?.profile.id === view.model,
      );
      const [first] = found;
      if (first === undefined)
        throw new ClusterdError("model_not_found", `${model} is not deployed.`, { next: "See what is with: clusterd ps" });
      for (const deployment of found) await stop(deployment, signal);
      return { model: first.view.model };
    },
  };
}
