import {
  ClusterdError,
  type AdvertDeployment,
  type ControlAnswers,
  type ControlRequest,
  type DeploymentId,
  type DeployWish,
  type NodeId,
} from "@clusterd/wire";
import type { Store } from "../state/store.ts";
import { allDeployments } from "../state/view.ts";

const ASK_MS_MAX = 10_000;
/** How long a deployment may take to go. */
const GONE_MS_MAX = 30_000;
/** What is told of a deployment's work takes a moment to get here. */
const NEWS_MS = 500;

export interface HeadCommandsConfig {
  readonly store: Store;
  ask<Type extends ControlRequest["type"]>(
    to: NodeId,
    request: Extract<ControlRequest, { type: Type }>,
    signal: AbortSignal,
  ): Promise<ControlAnswers[Type]>;
  stopHere(deployment: DeploymentId): boolean;
  /** Gives up a deployment here that a request loaded; false where it works, or is a person's. */
  evictHere(deployment: DeploymentId): boolean;
  /** Changes how long a deployment here stays. */
  keepHere(deployment: DeploymentId, onDemand: DeployWish["onDemand"]): boolean;
}

/** What is asked of the head of a deployment, wherever that is. */
export interface HeadCommands {
  /** Takes a deployment off; settles once its processes are gone. */
  stop(deployment: AdvertDeployment, signal: AbortSignal): Promise<void>;
  /** Settles once a deployment is told of no more. */
  gone(deployment: DeploymentId, signal: AbortSignal): Promise<void>;
  /** Takes off what a request loaded, unless it works by now. */
  evict(deployment: AdvertDeployment, signal: AbortSignal): Promise<void>;
  /** How long what a request loaded stays, from now on (null: it is a person's); a person's stays as it is. */
  keep(deployment: DeploymentId, onDemand: DeployWish["onDemand"], signal: AbortSignal): Promise<void>;
}

export function createHeadCommands(config: HeadCommandsConfig): HeadCommands {
  const { store } = config;
  const within = (signal: AbortSignal): AbortSignal => AbortSignal.any([signal, AbortSignal.timeout(ASK_MS_MAX)]);

  async function gone(id: DeploymentId, signal: AbortSignal): Promise<void> {
    const waiting = AbortSignal.any([signal, AbortSignal.timeout(GONE_MS_MAX)]);
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
    gone,
    async stop({ id, view: { head } }, signal) {
      if (head === store.state.self) config.stopHere(id);
      else if (store.state.others.get(head)?.state !== "left")
        await config.ask(head, { type: "undeploy", deployment: id }, within(signal));
      await gone(id, signal);
    },
    async evict({ id, view: { head } }, signal) {
      const evicted =
        head === store.state.self
          ? config.evictHere(id)
          : (await config.ask(head, { type: "evict", deployment: id }, within(signal))).evicted;
      if (evicted) await gone(id, signal);
      else await new Promise((done) => setTimeout(done, NEWS_MS));
    },
    async keep(id, onDemand, signal) {
      const view = allDeployments(store.state).find((deployment) => deployment.id === id)?.view;
      if (view?.onDemand === null || view?.onDemand === undefined) return;
      if (view.head === store.state.self) {
        config.keepHere(id, onDemand);
        return;
      }
      const { keepAliveSeconds = null } = onDemand ?? {};
      const byPerson = onDemand === null || onDemand === undefined;
      await config.ask(view.head, { type: "keep", deployment: id, keepAliveSeconds, byPerson }, within(signal));
    },
  };
}
