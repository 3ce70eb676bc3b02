/** How a process ended. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Whether we asked for it. */
  readonly wanted: boolean;
}

export type ProcessState =
  | { readonly kind: "starting" }
  | { readonly kind: "ready" }
  | { readonly kind: "stopping" }
  | ({ readonly kind: "ended" } & ProcessEnd);

export type ProcessEvent =
  | { readonly kind: "ready" }
  | { readonly kind: "stop" }
  | { readonly kind: "exit"; readonly code: number | null; readonly signal: NodeJS.Signals | null };

/** The next state. An event that comes too late (ready after a stop, anything after the end) changes nothing. */
export function applyProcessEvent(state: ProcessState, event: ProcessEvent): ProcessState {
  if (state.kind === "ended") return state;
  if (event.kind === "exit") return { kind: "ended", code: event.code, signal: event.signal, wanted: state.kind === "stopping" };
  if (event.kind === "stop") return state.kind === "stopping" ? state : { kind: "stopping" };
  return state.kind === "starting" ? { kind: "ready" } : state;
}
