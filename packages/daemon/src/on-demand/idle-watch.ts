import type { DeploymentId } from "@clusterd/wire";
import type { HeadedDeployment } from "../state/daemon-state.ts";
import type { Store } from "../state/store.ts";
import { afterLook, FAILED_KEPT_MS, unloadAtMs } from "./idle-policy.ts";

const LOOK_MS = 1_000;

/** What a deployment's engine does at the moment. */
export interface EngineWork {
  /** Requests it works on, and those that wait for it. */
  readonly requests: number;
  /** Grows with whatever it does. */
  readonly done: number;
}

export interface IdleWatchConfig {
  readonly store: Store;
  /** Null: it cannot be told just now, and counts as work. */
  workOf(deployment: DeploymentId): Promise<EngineWork | null>;
  /** Takes a deployment off, from this very moment. */
  stopHere(deployment: DeploymentId): void;
  log(message: string): void;
}

/** Watches what requests have loaded here: unloads it after its idle time, or at once where others need the room. */
export interface IdleWatch extends Disposable {
  /** Gives up a deployment that a request loaded; false where it works, or is not a request's. */
  evict(deployment: DeploymentId): Promise<boolean>;
}

export function watchIdle(config: IdleWatchConfig): IdleWatch {
  const { store } = config;
  const done = new Map<string, number>();
  const failedAtMs = new Map<DeploymentId, number>();
  let looking = false;

  /** What is up here because a request asked, if it still is. */
  function upOnDemand(id: DeploymentId): HeadedDeployment | null {
    const deployment = store.state.deployments.get(id);
    return deployment?.phase === "ready" && deployment.wanted && (deployment.asked.onDemand ?? null) !== null ? deployment : null;
  }

  /** Looks at one deployment's work; its state is up to date afterwards. Null where it is gone, or cannot be told of. */
  async function lookAt(id: DeploymentId): Promise<HeadedDeployment | null> {
    const work = await config.workOf(id);
    const deployment = upOnDemand(id);
    if (work === null || deployment === null) return null;
    const run = `${id}/${deployment.epoch}`;
    const worked = (done.get(run) ?? work.done) !== work.done;
    done.set(run, work.done);
    const use = afterLook(deployment.use, { busy: work.requests > 0, worked }, performance.now(), Date.now());
    if (use !== deployment.use) store.dispatch({ type: "deployment-used", id, use });
    return upOnDemand(id);
  }

  async function look(): Promise<void> {
    forget();
    for (const { id } of store.state.deployments.values()) {
      dropFailed(id);
      if (upOnDemand(id) === null) continue;
      const deployment = await lookAt(id);
      if (deployment === null || performance.now() < unloadAtMs(deployment)) continue;
      config.log(`${deployment.model} has been idle for ${describe(deployment)} and is unloaded`);
      config.stopHere(id);
    }
  }

  function forget(): void {
    const known = (id: string): boolean => store.state.deployments.has(id as DeploymentId);
    for (const run of done.keys()) if (!known(run.slice(0, run.indexOf("/")))) done.delete(run);
    for (const id of failedAtMs.keys()) if (!known(id)) failedAtMs.delete(id);
  }

  /** A load that failed is told of for a while, and then makes way for another try. */
  function dropFailed(id: DeploymentId): void {
    const deployment = store.state.deployments.get(id);
    if (deployment?.phase !== "failed" || (deployment.asked.onDemand ?? null) === null) {
      failedAtMs.delete(id);
      return;
    }
    const since = failedAtMs.get(id) ?? performance.now();
    failedAtMs.set(id, since);
    if (performance.now() - since >= FAILED_KEPT_MS) config.stopHere(id);
  }

  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    void look()
      .catch((error: unknown) => config.log(`idle models were not looked for: ${String(error)}`))
      .finally(() => {
        looking = false;
      });
  }, LOOK_MS);
  return {
    async evict(id) {
      const deployment = await lookAt(id);
      if (deployment === null || deployment.use.idleSinceMs === null) return false;
      config.log(`${deployment.model} is unloaded: another model needs its room`);
      config.stopHere(id);
      return true;
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

function describe({ asked }: HeadedDeployment): string {
  const seconds = asked.onDemand?.keepAliveSeconds ?? 0;
  return seconds >= 120 ? `${Math.round(seconds / 60)} minutes` : `${seconds} s`;
}
