import { placeOf, type DeploymentView, type NodeView, type StageView } from "@clusterd/wire";

/** What a load is taken to manage before it has shown it: a disk of a small machine. Weights for others go over the link, as it was measured. */
const ASSUMED_BYTES_PER_SECOND = 250e6;
/** To plan, to start processes, and to let the first token out. */
const OVERHEAD_SECONDS = 2;
/** Less progress than this, or in less time, says nothing about the speed. */
const PROGRESS_MIN = 0.02;
const OBSERVED_MS_MIN = 500;
/** Loads whose beginning is remembered. */
const LOADS_MAX = 64;

export const RETRY_AFTER_SECONDS_MAX = 60;

/** How far a load is, 0 to 1, and how much longer it takes, where its own progress tells. */
export interface LoadEstimate {
  readonly progress: number;
  readonly secondsLeft: number | null;
  /** When to come back, in whole seconds from 1 to 60: by its progress, else by its size. */
  readonly retryAfterSeconds: number;
}

/** Estimates of loads, by the progress each has made since it was first asked about. */
export interface LoadEstimates {
  /** Of a deployment that loads. `key` is the load's own, `nodes` the cluster's; monotonic milliseconds. */
  of(key: string, view: Pick<DeploymentView, "head" | "stages">, nodes: Nodes, nowMs: number): LoadEstimate;
}

type Nodes = readonly Pick<NodeView, "id" | "links">[];

export function createLoadEstimates(): LoadEstimates {
  const firstSeen = new Map<string, { readonly progress: number; readonly atMs: number }>();
  return {
    of(key, { head, stages }, nodes, nowMs) {
      const bytes = sum(stages, (stage) => stage.weightBytes);
      const progress = bytes === 0 ? 0 : Math.min(1, sum(stages, (stage) => stage.weightBytes * stage.progress) / bytes);
      const first = firstSeen.get(key) ?? { progress, atMs: nowMs };
      firstSeen.set(key, first);
      const [oldest] = firstSeen.keys();
      if (firstSeen.size > LOADS_MAX && oldest !== undefined) firstSeen.delete(oldest);
      const [made, ms] = [progress - first.progress, nowMs - first.atMs];
      const secondsLeft = made >= PROGRESS_MIN && ms >= OBSERVED_MS_MIN ? ((1 - progress) / made) * (ms / 1000) : null;
      // What shows no progress takes at least as long again as it did until now.
      const guess = Math.max(ms / 1000, OVERHEAD_SECONDS + sum(stages, (stage) => stageSeconds(stage, head, nodes)));
      return { progress, secondsLeft, retryAfterSeconds: retryAfter(secondsLeft ?? guess) };
    },
  };
}

/** What is left of a stage, by the disk of the head's node, or by the link from there. */
function stageSeconds({ node, weightBytes, progress }: StageView, head: NodeView["id"], nodes: Nodes): number {
  const host = placeOf(node).node;
  const links = nodes.find(({ id }) => id === head)?.links ?? [];
  const link = host === head ? 0 : (links.find(({ to }) => to === host)?.bytesPerSecond ?? 0);
  return (weightBytes * (1 - progress)) / (link > 0 ? Math.min(link, ASSUMED_BYTES_PER_SECOND) : ASSUMED_BYTES_PER_SECOND);
}

function sum(stages: readonly StageView[], of: (stage: StageView) => number): number {
  return stages.reduce((total, stage) => total + of(stage), 0);
}

/** When to come back for a model of so many bytes that has not begun to load. */
export function retryAfterFor(bytes: number): number {
  return retryAfter(bytes / ASSUMED_BYTES_PER_SECOND + OVERHEAD_SECONDS);
}

/** A little late costs less than a try in vain: clients try a few times only. */
function retryAfter(seconds: number): number {
  return Math.min(RETRY_AFTER_SECONDS_MAX, Math.max(1, Math.ceil(seconds * 1.1)));
}
