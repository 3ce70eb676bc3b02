import { placeOf, type DeploymentView, type NodeId } from "@clusterd/wire";
import type { DaemonState } from "../state/daemon-state.ts";
import { allDeployments } from "../state/view.ts";

/** A pipeline that has moved within this is in use. */
const MOVED_MS = 5_000;

/** Tells which nodes may be measured: those whose links carry no answer and no weights now. */
export interface QuietWatch {
  /** Looks at the state; called at every tick. */
  look(state: DaemonState, nowMs: number): void;
  isQuiet(state: DaemonState, node: NodeId, nowMs: number): boolean;
}

export function createQuietWatch(): QuietWatch {
  const moved = new Map<string, { readonly sign: string; readonly atMs: number }>();
  return {
    look(state, nowMs) {
      const all = allDeployments(state);
      for (const id of moved.keys()) if (!all.some((deployment) => deployment.id === id)) moved.delete(id);
      for (const { id, view } of all) {
        const sign = signOf(view);
        if (moved.get(id)?.sign !== sign) moved.set(id, { sign, atMs: nowMs });
      }
    },
    isQuiet: (state, node, nowMs) =>
      allDeployments(state).every(
        ({ id, view }) =>
          !takesPart(view, node) ||
          view.state === "failed" ||
          (view.state === "ready" && nowMs - (moved.get(id)?.atMs ?? nowMs) > MOVED_MS),
      ),
  };
}

/** Another one whenever tokens were made. */
function signOf(view: DeploymentView): string {
  return [view.state, view.epoch, view.measuredTokensPerSecond, ...view.stages.map(({ timing }) => timing?.steps ?? 0)].join("/");
}

function takesPart(view: DeploymentView, node: NodeId): boolean {
  return view.head === node || view.stages.some((stage) => placeOf(stage.node).node === node);
}
