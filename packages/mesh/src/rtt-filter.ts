import type { NodeId } from "@clusterd/wire";

const SAMPLES = 9;
/** A new figure is told when it differs by so much from the last one told: less is noise. */
const CHANGE_SHARE = 0.3;
const CHANGE_MS = 0.2;

/** Round trips by heartbeat: the median of the latest, told when it has changed for real. */
export interface RttFilter {
  /** The figure to tell, in milliseconds, or null. */
  add(node: NodeId, ms: number): number | null;
}

export function createRttFilter(): RttFilter {
  const samples = new Map<NodeId, number[]>();
  const told = new Map<NodeId, number>();
  return {
    add(node, ms) {
      const list = [...(samples.get(node) ?? []), ms].slice(-SAMPLES);
      samples.set(node, list);
      const median = list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? ms;
      const last = told.get(node);
      if (last !== undefined && Math.abs(median - last) < Math.max(CHANGE_MS, last * CHANGE_SHARE)) return null;
      const rounded = Math.round(median * 1000) / 1000;
      told.set(node, rounded);
      return rounded;
    },
  };
}
