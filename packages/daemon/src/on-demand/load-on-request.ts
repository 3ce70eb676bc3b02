import {
  ClusterdError,
  type AdvertDeployment,
  type ContentId,
  type ControlAnswers,
  type ControlRequest,
  type DeploymentId,
  type NodeId,
} from "@clusterd/wire";
import type { Deployer } from "../planning/deploy.ts";
import type { Store } from "../state/store.ts";
import { displayNames } from "../state/names.ts";
import { allDeployments } from "../state/view.ts";
import { decidingNode, knownModel, type KnownModel } from "./known-models.ts";
import { createRequestLoads } from "./request-loads.ts";

/** To decide takes a plan, and perhaps the end of what has to make room. */
const DECIDE_MS_MAX = 60_000;
/** Until what the head tells of a new deployment has come here. */
const SEEN_MS_MAX = 10_000;
const GONE_MS_MAX = 30_000;

export interface LoadOnRequestConfig {
  readonly store: Store;
  readonly deployer: Pick<Deployer, "loadForRequest">;
  /** Whether requests to this node load what they name. */
  readonly enabled: boolean;
  /** Idleness after which what they loaded goes, in seconds; null: never. */
  readonly keepAliveSeconds: number | null;
  ask<Type extends ControlRequest["type"]>(
    to: NodeId,
    request: Extract<ControlRequest, { type: Type }>,
    signal: AbortSignal,
  ): Promise<ControlAnswers[Type]>;
  /** Ends with the daemon. */
  readonly signal: AbortSignal;
}

export interface LoadOnRequest {
  /** The model that a request's name means and that would be loaded for it; null where there is none. */
  known(name: string): KnownModel | null;
  /** Begins to load it, wherever; its deployment. `keepAliveSeconds`: undefined for this node's own rule. */
  want(model: KnownModel, keepAliveSeconds?: number | null): Promise<DeploymentId>;
  /** The same at the node that decides. */
  wantHere(contentId: ContentId, keepAliveSeconds: number | null): Promise<DeploymentId>;
}

export function createLoadOnRequest(config: LoadOnRequestConfig): LoadOnRequest {
  const { store } = config;
  /** Those who want the same model at this node share the question. */
  const asked = new Map<ContentId, Promise<DeploymentId>>();
  const wantHere = createRequestLoads({ load, now: () => performance.now() });

  function live(contentId: ContentId): AdvertDeployment | null {
    const all = allDeployments(store.state).filter((deployment) => deployment.contentId === contentId);
    return all.find(({ view }) => view.state !== "failed" && view.state !== "draining") ?? null;
  }

  async function load(contentId: ContentId, keepAliveSeconds: number | null): Promise<DeploymentId> {
    // What goes has to be gone: its room is planned with.
    await until(() => !allDeployments(store.state).some(isGoing(contentId)), GONE_MS_MAX);
    const known = live(contentId);
    if (known !== null) return known.id;
    const deployment = await config.deployer.loadForRequest(contentId, keepAliveSeconds, config.signal);
    await seen(deployment);
    return deployment;
  }

  /** Waits until a new deployment is known here. */
  async function seen(id: DeploymentId): Promise<void> {
    await until(() => allDeployments(store.state).some((deployment) => deployment.id === id), SEEN_MS_MAX);
  }

  async function until(holds: () => boolean, msMax: number): Promise<void> {
    if (holds()) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const unsubscribe = store.subscribe(() => {
      if (holds()) resolve();
    });
    const timer = setTimeout(resolve, msMax);
    await promise;
    clearTimeout(timer);
    unsubscribe();
  }

  async function ask(contentId: ContentId, keepAliveSeconds: number | null): Promise<DeploymentId> {
    const decider = decidingNode(store.state);
    if (decider === store.state.self) return wantHere(contentId, keepAliveSeconds);
    const within = AbortSignal.any([config.signal, AbortSignal.timeout(DECIDE_MS_MAX)]);
    try {
      const { deployment } = await config.ask(decider, { type: "want", contentId, keepAliveSeconds }, within);
      await seen(deployment);
      return deployment;
    } catch (error) {
      // A refusal of its own comes as it is.
      if (!within.aborted && store.state.others.get(decider)?.state === "alive") throw error;
      const name = displayNames(store.state).get(decider) ?? decider;
      throw new ClusterdError("model_not_ready", `${name}, which decides what is loaded, does not answer.`, {
        cause: error,
        next: "Try again shortly.",
      });
    }
  }

  return {
    known: (name) => (config.enabled && store.state.standing.kind === "member" ? knownModel(store.state, name) : null),
    async want({ contentId }, keepAliveSeconds = config.keepAliveSeconds) {
      const known = live(contentId);
      if (known !== null) return known.id;
      const shared = asked.get(contentId) ?? ask(contentId, keepAliveSeconds).finally(() => asked.delete(contentId));
      asked.set(contentId, shared);
      return shared;
    },
    wantHere,
  };
}

function isGoing(contentId: ContentId): (deployment: AdvertDeployment) => boolean {
  return (deployment) => deployment.contentId === contentId && deployment.view.state === "draining";
}
