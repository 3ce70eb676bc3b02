import type { DeploymentId } from "@clusterd/wire";
import type { HeadedDeployment } from "../state/daemon-state.ts";
import type { Store } from "../state/store.ts";
import { afterLook, FAILED_KEPT_MS, unloadAtMs } from "./idle-policy.ts";

const LOOK_MS = 1_000;

/** The requests at a deployment's head. */
export interface DeploymentWork {
  /** Those it works on, and those that wait for it. */
  readonly requests: number;
  /** All that have come since it is headed here. */
  readonly entries: number;
}

export interface IdleWatchConfig {
  readonly store: Store;
  workOf(deployment: DeploymentId): DeploymentWork;
  /** Takes a deployment off, from this very moment. */
  stopHere(deployment: DeploymentId): void;
  log(message: string): void;
}

/** Watches what requests have loaded here: unloads it after its idle time, or at once where others need the room. */
export interface IdleWatch extends Disposable {
  /** Gives up a deployment that a request loaded; false where it works, or is not a request's. */
  evict(deployment: DeploymentId): boolean;
}

export function watchIdle(config: IdleWatchConfig): IdleWatch {
  const { store } = config;
  const entries = new Map<DeploymentId, number>();
  const failedAtMs = new Map<DeploymentId, number>();

  /** What is up here because a request asked, with its use as it is now; null where there is no such thing. */
  function lookAt(id: DeploymentId): HeadedDeployment | null {
    const deployment = store.state.deployments.get(id);
    if (deployment?.phase !== "ready" || !deployment.wanted || !isOnDemand(deployment)) return null;
    const work = config.workOf(id);
    const worked = (entries.get(id) ?? 0) !== work.entries;
    entries.set(id, work.entries);
    const use = afterLook(deployment.use, { busy: work.requests > 0, worked }, performance.now(), Date.now());
    if (use !== deployment.use) store.dispatch({ type: "deployment-used", id, use });
    return { ...deployment, use };
  }

  function look(): void {
    for (const known of [entries, failedAtMs])
      for (const id of known.keys()) if (!store.state.deployments.has(id)) known.delete(id);
    for (const id of [...store.state.deployments.keys()]) {
      dropFailed(id);
      const deployment = lookAt(id);
      if (deployment === null || performance.now() < unloadAtMs(deployment)) continue;
      config.log(`${deployment.model} has been idle for ${idleText(deployment)} and is unloaded`);
      config.stopHere(id);
    }
  }

  /** A load that failed is told of for a while, and then makes way for another try. */
  function dropFailed(id: DeploymentId): void {
    const deployment = store.state.deployments.get(id);
    if (deployment?.phase !== "failed" || !isOnDemand(deployment)) {
      failedAtMs.delete(id);
      return;
    }
    const since = failedAtMs.get(id) ?? performance.now();
    failedAtMs.set(id, since);
    if (performance.now() - since >= FAILED_KEPT_MS) config.stopHere(id);
  }

  const timer = setInterval(look, LOOK_MS);
  return {
    evict(id) {
      const deployment = lookAt(id);
      if (deployment === null || deployment.use.idleSinceMs === null) return false;
      config.log(`${deployment.model} is unloaded: another model needs its room`);
      config.stopHere(id);
      return true;
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

function isOnDemand({ asked }: HeadedDeployment): boolean {
  return asked.onDemand !== null && asked.onDemand !== undefined;
}

function idleText({ asked }: HeadedDeployment): string {
  const seconds = asked.onDemand?.keepAliveSeconds ?? 0;
  return seconds >= 120 ? `${Math.round(seconds / 60)} minutes` : `${seconds} s`;
}
