import type { ControlLoop } from "./deployments/control-loop.ts";
import type { SpeculationCounters } from "./deployments/speculation-policy.ts";
import { createSpeculationWatch } from "./deployments/speculation-watch.ts";
import type { Store } from "./state/store.ts";

const LOOK_MS = 2_000;
const ASK_MS_MAX = 1_500;
/** A figure from fewer tokens says little. */
const TOKENS_MIN = 16;

/** Tokens, the seconds they took, and what was guessed of them, from a llama-server's metrics. */
export function parseCounters(metrics: string): SpeculationCounters | null {
  const value = (name: string): number => Number(new RegExp(`^llamacpp:${name} ([0-9.e+-]+)$`, "m").exec(metrics)?.[1] ?? NaN);
  const counters = {
    tokens: value("tokens_predicted_total"),
    seconds: value("tokens_predicted_seconds_total"),
    drafted: value("spec_decode_num_draft_tokens_total"),
    accepted: value("spec_decode_num_accepted_tokens_total"),
  };
  return Object.values(counters).every(Number.isFinite) ? counters : null;
}

/** Reads the decode speed of the engines up here from their own counters, and tells the state when there is news. */
export function watchSpeed(store: Store, loop: ControlLoop): Disposable {
  const before = new Map<string, SpeculationCounters>();
  const speculation = createSpeculationWatch(store);
  const stepsBefore = new Map<string, number>();
  const look = async (): Promise<void> => {
    for (const deployment of store.state.deployments.values()) {
      const { id, phase } = deployment;
      const engine = phase === "ready" ? loop.engineOf(id) : null;
      if (engine === null) continue;
      const timings = engine.stageTimings();
      const steps = timings.reduce((sum, timing) => sum + (timing?.steps ?? 0), 0);
      const key = `${id}/${engine.epoch}`;
      if (steps !== stepsBefore.get(key)) store.dispatch({ type: "deployment-timed", id, timings });
      stepsBefore.set(key, steps);
      try {
        const response = await fetch(`http://127.0.0.1:${engine.port}/metrics`, {
          headers: { authorization: `Bearer ${engine.apiKey}` },
          signal: AbortSignal.timeout(ASK_MS_MAX),
        });
        const now = parseCounters(await response.text());
        if (now === null) continue;
        speculation.look(deployment, engine.epoch, now);
        const last = before.get(key);
        if (last === undefined) before.set(key, now);
        else if (now.tokens - last.tokens >= TOKENS_MIN && now.seconds > last.seconds) {
          before.set(key, now);
          store.dispatch({
            type: "deployment-measured",
            id,
            tokensPerSecond: (now.tokens - last.tokens) / (now.seconds - last.seconds),
          });
        }
      } catch {
        // Busy or gone: the control loop knows better.
      }
    }
    for (const key of before.keys())
      if (loop.engineOf(key.split("/")[0] as Parameters<ControlLoop["engineOf"]>[0]) === null) before.delete(key);
    for (const key of stepsBefore.keys())
      if (loop.engineOf(key.split("/")[0] as Parameters<ControlLoop["engineOf"]>[0]) === null) stepsBefore.delete(key);
  };
  const timer = setInterval(() => void look(), LOOK_MS);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
