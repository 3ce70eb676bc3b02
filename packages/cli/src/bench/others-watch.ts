import { setTimeout as sleep } from "node:timers/promises";
import { placeOf, type ClusterState, type DeploymentView, type ModelId, type NodeId } from "@clusterd/wire";
import type { Client } from "../api/client.ts";
import { watchState } from "../api/watch-state.ts";

/** How long the end of the last measurement's requests, or of somebody else's, is waited for. */
const IDLE_MS_MAX = 5_000;
const LOOK_MS = 100;

const nodesOf = (view: DeploymentView): readonly NodeId[] => [view.head, ...view.stages.map(({ node }) => placeOf(node).node)];

/** Requests at work on the machines of a model, its own included. */
export function workAround(state: ClusterState, model: ModelId): number {
  const own = new Set(state.deployments.filter((view) => view.model === model).flatMap(nodesOf));
  return state.deployments
    .filter((view) => nodesOf(view).some((node) => own.has(node)))
    .reduce((sum, { queue }) => sum + queue.active + queue.waiting, 0);
}

/** Knows whether anybody else was served on a model's machines while something was measured. */
export interface OthersWatch extends Disposable {
  /** Measures with `own` requests of its own at a time. `disturbed`: there were more. */
  during<Result>(own: number, measure: () => Promise<Result>): Promise<{ readonly result: Result; readonly disturbed: boolean }>;
}

export function watchOthers(client: Client, model: ModelId, first: ClusterState, signal: AbortSignal): OthersWatch {
  const stop = new AbortController();
  const within = AbortSignal.any([signal, stop.signal]);
  const work = { now: workAround(first, model), most: 0 };
  void (async () => {
    try {
      for await (const state of watchState(client, within)) {
        work.now = workAround(state, model);
        work.most = Math.max(work.most, work.now);
      }
    } catch {
      // The measurement that goes on meanwhile says what is the matter.
    }
  })();
  return {
    async during(own, measure) {
      for (let waitedMs = 0; work.now > 0 && waitedMs < IDLE_MS_MAX; waitedMs += LOOK_MS)
        await sleep(LOOK_MS, undefined, { signal });
      const busy = work.now > 0;
      work.most = work.now;
      const result = await measure();
      return { result, disturbed: busy || work.most > own };
    },
    [Symbol.dispose]: () => stop.abort(),
  };
}
