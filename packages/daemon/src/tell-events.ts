import type { DaemonEvent } from "./daemon-options.ts";
import { displayNames } from "./state/names.ts";
import type { Store } from "./state/store.ts";
import { allDeployments } from "./state/view.ts";

/** Turns changes of the state into events for whoever started the daemon: each phase and each node's state once. */
export function tellEvents(store: Store, onEvent: (event: DaemonEvent) => void): () => void {
  const nodes = new Map<string, string>();
  const deployments = new Map<string, string>();
  return store.subscribe((state) => {
    const names = displayNames(state);
    for (const [id, other] of state.others) {
      if (nodes.get(id) === other.state) continue;
      nodes.set(id, other.state);
      onEvent({ event: "node", id, name: names.get(id) ?? id, state: other.state });
    }
    for (const { id, view } of allDeployments(state)) {
      const weight = view.stages.reduce((sum, stage) => sum + stage.weightBytes, 0);
      const progress =
        weight === 0 ? 0 : view.stages.reduce((sum, stage) => sum + stage.progress * stage.weightBytes, 0) / weight;
      const told =
        view.state === "loading" ? `loading ${Math.floor(progress * 10)}` : `${view.state} ${view.reason ?? ""} ${view.epoch}`;
      if (deployments.get(id) === told) continue;
      deployments.set(id, told);
      onEvent({ event: "deployment", model: view.model, state: view.state, reason: view.reason, progress });
    }
  });
}
