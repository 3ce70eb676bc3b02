import { apply } from "./apply.ts";
import type { DaemonState, StateEvent } from "./daemon-state.ts";

/** The state and those who watch it. */
export interface Store {
  readonly state: DaemonState;
  dispatch(event: StateEvent): void;
  /** Calls the listener after every change; returns how to stop that. */
  subscribe(listener: (state: DaemonState, event: StateEvent) => void): () => void;
}

export function createStore(initial: DaemonState): Store {
  let state = initial;
  const listeners = new Set<(state: DaemonState, event: StateEvent) => void>();
  return {
    get state() {
      return state;
    },
    dispatch(event) {
      const next = apply(state, event);
      if (next === state) return;
      state = next;
      for (const listener of [...listeners]) listener(state, event);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
