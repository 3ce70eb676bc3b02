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
  type ModelId,
  type ModelProfile,
  type NodeId,
  type Placement,
  type PlanResult,
} from "@clusterd/wire";
import type { Store } from "../state/store.ts";
import { allDeployments } from "../state/view.ts";
import { planForCluster, withNodeIds } from "./plan-cluster.ts";
import { doesNotFit } from "./refusal-text.ts";
import { saysHow, wishOf } from "./wish.ts";

const PROFILE_MS_MAX = 10_000;
const DEPLOY_MS_MAX = 10_000;
/** How long the deployment that a load replaces may take to go. */
const REPLACE_MS_MAX = 30_000;

export interface DeployConfig {
  readonly store: Store;
  readonly catalog: Catalog;
  /** A path given to this node is remembered: tell the members of the model. */
  modelsChanged(): void;
  ask<Type extends ControlRequest["type"]>(
    to: NodeId,
    request: Extract<ControlRequest, { type: Type }>,
    signal: AbortSignal,
  ): Promise<ControlAnswers[Type]>;
  startHere(deployment: DeploymentId, contentId: ContentId, aliases: readonly string[], placement: Placement): void;
  stopHere(deployment: DeploymentId): boolean;
}

/** Planning, loading and unloading for the whole cluster, from any member. */
export interface Deployer {
  plan(body: LoadBody, signal: AbortSignal): Promise<PlanResult>;
  load(body: LoadBody, signal: AbortSignal): Promise<{ deployment: DeploymentId; model: ModelId; plan: Placement }>;
  unload(model: string, signal: AbortSignal): Promise<{ model: ModelId }>;
}

export function createDeployer(config: DeployConfig): Deployer {
  const { store, catalog } = config;

  /** The model's profile: from this node's disk, or from a member that has it. */
  async function profileOf(ref: string, signal: AbortSignal): Promise<ModelProfile> {
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
    const { profile } = await catalog.resolve(ref, signal);
    config.modelsChanged();
    return profile;
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

  async function stop(deployment: AdvertDeployment, signal: AbortSignal): Promise<void> {
    const { head } = deployment.view;
    if (head === store.state.self) config.stopHere(deployment.id);
    else if (store.state.others.get(head)?.state !== "left")
      await config.ask(
        head,
        { type: "undeploy", deployment: deployment.id },
        AbortSignal.any([signal, AbortSignal.timeout(DEPLOY_MS_MAX)]),
      );
    await gone(deployment.id, signal);
  }

  /** Waits until a deployment is told of no more: its processes are gone. */
  async function gone(id: DeploymentId, signal: AbortSignal): Promise<void> {
    const waiting = AbortSignal.any([signal, AbortSignal.timeout(REPLACE_MS_MAX)]);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const look = (): void => {
      const found = allDeployments(store.state).find((deployment) => deployment.id === id);
      if (found === undefined || store.state.others.get(found.view.head)?.state === "left") resolve();
    };
    const unsubscribe = store.subscribe(look);
    const abort = (): void => reject(new ClusterdError("timeout", "The deployment is still being stopped."));
    waiting.addEventListener("abort", abort, { once: true });
    look();
    try {
      await promise;
    } finally {
      unsubscribe();
      waiting.removeEventListener("abort", abort);
    }
  }

  return {
    async plan(body, signal) {
      mustBeMember();
      const profile = await profileOf(body.model, signal);
      const draft = body.draft === undefined ? null : await profileOf(body.draft, signal);
      const replaced = running(profile.contentId);
      const wish = wishOf(store.state, body, draft);
      return planForCluster(store.state, profile, wish, new Set(replaced === null ? [] : [replaced.id]));
    },
    async load(body, signal) {
      mustBeMember();
      const profile = await profileOf(body.model, signal);
      const draft = body.draft === undefined ? null : await profileOf(body.draft, signal);
      const known = running(profile.contentId);
      const wish = wishOf(store.state, body, draft);
      const result = planForCluster(store.state, profile, wish, new Set(known === null ? [] : [known.id]));
      if (!result.feasible) throw doesNotFit(profile.id, result);
      // Loading what is loaded is no work, unless it is to be done differently.
      if (known !== null && !saysHow(body)) return { deployment: known.id, model: known.view.model, plan: result };
      if (known !== null) await stop(known, signal);
      for (const broken of allDeployments(store.state)) {
        if (broken.contentId === profile.contentId && broken.view.state === "failed")
          await stop(broken, signal).catch(() => undefined);
      }
      const placement = withNodeIds(store.state, result);
      const deployment = asDeploymentId(randomBytes(8).toString("hex"));
      const aliases = body.as === undefined ? [] : [body.as];
      if (placement.head === store.state.self) config.startHere(deployment, profile.contentId, aliases, placement);
      else
        await config.ask(
          placement.head as NodeId,
          { type: "deploy", deployment, contentId: profile.contentId, aliases, placement },
          AbortSignal.any([signal, AbortSignal.timeout(DEPLOY_MS_MAX)]),
        );
      return { deployment, model: profile.id, plan: result };
    },
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
