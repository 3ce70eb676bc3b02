import type { DeploymentId, NodeId } from "@clusterd/wire";
import type { ControlLoop } from "./deployments/control-loop.ts";
import { askCounters, type EngineCounters } from "./deployments/engine-counters.ts";
import { createSpeculationWatch } from "./deployments/speculation-watch.ts";
import type { PredictionLog } from "./planning/prediction-log.ts";
import { bandwidthSourceOf } from "./planning/bandwidth-source.ts";
import type { HeadedDeployment } from "./state/daemon-state.ts";
import type { Store } from "./state/store.ts";

const LOOK_MS = 2_000;
/** A figure from fewer tokens says little. */
const TOKENS_MIN = 16;
/** Before so many tokens of a run, its speed is no outcome of a prediction. */
const OUTCOME_TOKENS_MIN = 64;

/** What has been told of one run of an engine. */
interface Watched {
  readonly epoch: number;
  speed: EngineCounters | null;
  prompt: EngineCounters | null;
  steps: number;
}

/** Reads the speed of the engines up here from their own counters, and tells the state when there is news. */
export function watchSpeed(store: Store, loop: ControlLoop, predictions: PredictionLog): Disposable {
  const watched = new Map<DeploymentId, Watched>();
  const speculation = createSpeculationWatch(store);

  async function look(): Promise<void> {
    for (const id of watched.keys()) if (loop.engineOf(id) === null) watched.delete(id);
    for (const deployment of store.state.deployments.values()) {
      const engine = deployment.phase === "ready" ? loop.engineOf(deployment.id) : null;
      if (engine === null) continue;
      const known = watched.get(deployment.id);
      const entry = known?.epoch === engine.epoch ? known : { epoch: engine.epoch, speed: null, prompt: null, steps: 0 };
      watched.set(deployment.id, entry);
      tellTimings(deployment, engine, entry);
      const now = await askCounters(engine);
      if (now === null) continue;
      speculation.look(deployment, engine.epoch, now);
      tellSpeed(deployment, now, entry);
      tellPrompts(deployment.id, now, entry);
    }
  }

  function tellTimings({ id }: HeadedDeployment, engine: NonNullable<ReturnType<ControlLoop["engineOf"]>>, entry: Watched): void {
    const timings = engine.stageTimings();
    const steps = timings.reduce((sum, timing) => sum + (timing?.steps ?? 0), 0);
    if (steps !== entry.steps) store.dispatch({ type: "deployment-timed", id, timings });
    entry.steps = steps;
  }

  function tellSpeed(deployment: HeadedDeployment, now: EngineCounters, entry: Watched): void {
    const { id } = deployment;
    entry.speed ??= now;
    const tokens = now.tokens - entry.speed.tokens;
    const seconds = now.seconds - entry.speed.seconds;
    if (tokens < TOKENS_MIN || seconds <= 0) return;
    const guessed = now.accepted - entry.speed.accepted;
    entry.speed = now;
    store.dispatch({ type: "deployment-measured", id, tokensPerSecond: tokens / seconds });
    const stepsPerSecond = Math.max(1, tokens - guessed) / seconds;
    store.dispatch({ type: "deployment-record", id, measured: { stepsPerSecond } });
    if (now.tokens >= OUTCOME_TOKENS_MIN) recordOutcome(deployment, stepsPerSecond, entry.epoch);
  }

  function tellPrompts(id: DeploymentId, now: EngineCounters, entry: Watched): void {
    entry.prompt ??= now;
    const tokens = now.promptTokens - entry.prompt.promptTokens;
    const seconds = now.promptSeconds - entry.prompt.promptSeconds;
    if (tokens < TOKENS_MIN || seconds <= 0) return;
    entry.prompt = now;
    store.dispatch({ type: "deployment-record", id, measured: { promptTokensPerSecond: tokens / seconds } });
  }

  function recordOutcome({ id, model, placement }: HeadedDeployment, measured: number, epoch: number): void {
    const { tokensPerSecond: predicted, low, high } = placement.predicted;
    predictions.record({
      run: `${id}/${epoch}`,
      at: new Date().toISOString(),
      model,
      context: placement.context,
      stages: placement.stages.map(({ node, firstLayer, lastLayer }) => ({
        node,
        layers: lastLayer - firstLayer + 1,
        source: bandwidthSourceOf(store.state, node as NodeId),
      })),
      predicted,
      low,
      high,
      measured,
      error: measured / predicted - 1,
    });
  }

  const timer = setInterval(() => void look(), LOOK_MS);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
