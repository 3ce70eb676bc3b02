import type { ContentId, DeploymentId, ModelId } from "@clusterd/wire";
import { asClusterdError, ClusterdError } from "@clusterd/wire";
import type { Failure, HeadedDeployment } from "../state/daemon-state.ts";
import { nextLookMs, reconcile, stageLost, type Action } from "../state/reconcile.ts";
import type { Store } from "../state/store.ts";
import { createStageLosses, startHeadRun, type HeadRun, type HeadRunConfig, type StageLosses } from "./head-run.ts";

export interface ControlLoopConfig {
  readonly store: Store;
  readonly run: Omit<HeadRunConfig, "deployment" | "model" | "draftPath" | "onAstray" | "onProgress" | "signal">;
  /** Reads again, before they are used, the head's own files that may have changed on its disk. Throws where one is wrong and there is no other. */
  checkFiles(deployment: HeadedDeployment, signal: AbortSignal): Promise<void>;
  /** Has the nodes of a deployment's stages fetch their layers; null where all have what they need. */
  fetchLayers(
    deployment: HeadedDeployment,
    onProgress: (stage: number, doneBytes: number, totalBytes: number) => void,
    signal: AbortSignal,
  ): Promise<void> | null;
  /** The head's own file of a model. */
  modelFile(model: ModelId, contentId: ContentId): HeadRunConfig["model"];
  /** A new placement for a deployment over the nodes there are now; throws where there is none. */
  replan(deployment: HeadedDeployment): HeadedDeployment["placement"];
  log(message: string): void;
}

/** How long a deployment waits for a silent node without which it does not fit. */
const SILENT_WAIT_MS = 2_000;

/** Keeps what runs here in step with what is wanted. */
export interface ControlLoop extends AsyncDisposable {
  /** The engine of a deployment that is up here. */
  engineOf(id: DeploymentId): Pick<HeadRun, "port" | "apiKey" | "epoch" | "stageTimings"> | null;
  /** A worker's node tells that a stage of a deployment ended. */
  stageEnded(id: DeploymentId, epoch: number, node: Parameters<StageLosses["report"]>[0], reason: string): boolean;
}

interface Running {
  readonly epoch: number;
  readonly losses: StageLosses;
  readonly abort: AbortController;
  readonly done: Promise<void>;
  run: HeadRun | null;
}

export function startControlLoop(config: ControlLoopConfig): ControlLoop {
  const { store } = config;
  const running = new Map<DeploymentId, Running>();
  /** Deployments whose head wanted what was only passed on: from their next epoch on it goes by way of its engine. */
  const astray = new Set<DeploymentId>();
  let closing = false;
  let scheduled = false;
  let timer: NodeJS.Timeout | null = null;

  const unsubscribe = store.subscribe(wake);

  function wake(): void {
    if (scheduled || closing) return;
    scheduled = true;
    // Events that come together are looked at once.
    setImmediate(() => {
      scheduled = false;
      if (!closing) look();
    });
  }

  function look(): void {
    const nowMs = performance.now();
    for (const action of reconcile(store.state, { running: new Set(running.keys()) }, nowMs)) act(action);
    if (timer !== null) clearTimeout(timer);
    const next = nextLookMs(store.state, nowMs);
    timer = Number.isFinite(next) ? setTimeout(wake, Math.max(1, next - nowMs)) : null;
  }

  function act(action: Action): void {
    const deployment = store.state.deployments.get(action.id);
    if (deployment === undefined) return;
    if (action.type === "forget") astray.delete(action.id);
    if (action.type === "forget") store.dispatch({ type: "deployment-gone", id: action.id });
    if (action.type === "start") start(action.id);
    if (action.type === "stop") stop(deployment);
    if (action.type === "replan") replan(deployment);
  }

  function start(id: DeploymentId): void {
    store.dispatch({ type: "deployment-starting", id });
    const deployment = store.state.deployments.get(id);
    if (deployment === undefined) return;
    const abort = new AbortController();
    const losses = createStageLosses(deployment, config.run.nameOf);
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const entry: Running = { epoch: deployment.epoch, losses, abort, run: null, done: begun.then(() => live(deployment, entry)) };
    running.set(id, entry);
    begin();
  }

  /** One epoch from start to end; whatever ends it is told to the state. */
  async function live(deployment: HeadedDeployment, entry: Running): Promise<void> {
    const { id, model, contentId } = deployment;
    const { draft } = deployment.placement.speculation;
    try {
      const onProgress = (stage: number, progress: number): void =>
        store.dispatch({ type: "deployment-progress", id, stage, progress });
      const onFetched = (stage: number, doneBytes: number, totalBytes: number): void =>
        store.dispatch({ type: "deployment-fetched", id, stage, doneBytes, totalBytes, atMs: performance.now() });
      await config.checkFiles(deployment, entry.abort.signal);
      const lost = lostWhile(entry);
      const fetching = config.fetchLayers(deployment, onFetched, lost.signal);
      if (fetching !== null) {
        store.dispatch({ type: "deployment-fetching", id, over: false });
        await lost.orDone(fetching);
        store.dispatch({ type: "deployment-fetching", id, over: true });
      }
      config.log(`loading ${deployment.model} (epoch ${deployment.epoch})`);
      await using run = await startHeadRun(
        {
          ...config.run,
          deployment,
          model: config.modelFile(model, contentId),
          draftPath: draft === null ? null : config.modelFile(draft.model, draft.contentId).path,
          onAstray: astray.has(id) ? null : () => void astray.add(id),
          onProgress,
          signal: entry.abort.signal,
        },
        entry.losses,
      );
      entry.run = run;
      store.dispatch({ type: "deployment-ready", id, tokensPerSecond: run.tokensPerSecond });
      store.dispatch({ type: "deployment-timed", id, timings: run.stageTimings() });
      config.log(`${deployment.model} is ready`);
      const failure = await Promise.race([run.broken, aborted(entry.abort.signal)]);
      entry.run = null;
      // Told before the clean-up, which may take seconds where a node is gone.
      if (failure !== null) broken(id, failure);
    } catch (error) {
      if (!entry.abort.signal.aborted) broken(id, asClusterdError(error));
    }
    running.delete(id);
    wake();
  }

  function broken(id: DeploymentId, { code, message }: Failure): void {
    config.log(`${store.state.deployments.get(id)?.model} broke: ${message}`);
    store.dispatch({ type: "deployment-broken", id, failure: { code, message }, atMs: performance.now() });
  }

  function stop(deployment: HeadedDeployment): void {
    const entry = running.get(deployment.id);
    if (entry === undefined || entry.abort.signal.aborted) return;
    const lost = deployment.wanted ? stageLost(store.state, deployment) : null;
    if (lost !== null) entry.losses.report(lost, "its node has left the cluster");
    else entry.abort.abort(null);
  }

  function replan(deployment: HeadedDeployment): void {
    try {
      const placement = config.replan(deployment);
      store.dispatch({ type: "deployment-replanned", id: deployment.id, placement });
    } catch (error) {
      // A node that is only silent may be back in a moment, or gone for good: until that is known, it is waited for.
      if (stageLost(store.state, deployment) === null) {
        store.dispatch({ type: "deployment-waiting", id: deployment.id, untilMs: performance.now() + SILENT_WAIT_MS });
        return;
      }
      const { code, message } = asClusterdError(error);
      const why = deployment.failure === null ? message : `${deployment.failure.message}; without it: ${message}`;
      store.dispatch({ type: "deployment-failed", id: deployment.id, failure: { code, message: why } });
    }
  }

  wake();
  return {
    engineOf(id) {
      return running.get(id)?.run ?? null;
    },
    stageEnded(id, epoch, node, reason) {
      const entry = running.get(id);
      if (entry === undefined || entry.epoch !== epoch) return false;
      entry.losses.report(node, reason);
      return true;
    },
    async [Symbol.asyncDispose]() {
      closing = true;
      unsubscribe();
      if (timer !== null) clearTimeout(timer);
      const entries = [...running.values()];
      for (const entry of entries) entry.abort.abort(null);
      await Promise.all(entries.map((entry) => entry.done));
    },
  };
}

/** Ends what is done before a run with the loss of a stage: what is fetched for a placement that is over is not waited for. */
function lostWhile({ abort, losses }: Pick<Running, "abort" | "losses">): {
  readonly signal: AbortSignal;
  orDone(work: Promise<void>): Promise<void>;
} {
  const over = new AbortController();
  const lost = losses.first.then(({ code, message }) => {
    over.abort();
    throw new ClusterdError(code, message);
  });
  lost.catch(() => undefined);
  return { signal: AbortSignal.any([abort.signal, over.signal]), orDone: (work) => Promise.race([work, lost]) };
}

/** Settles with null once the signal fires. */
function aborted(signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(null);
    else signal.addEventListener("abort", () => resolve(null), { once: true });
  });
}
