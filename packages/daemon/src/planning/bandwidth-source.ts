import { placeOf, type BandwidthSource, type NodeId } from "@clusterd/wire";
import type { DaemonState } from "../state/daemon-state.ts";

/** Where the bandwidth of a stage's node is known from, by its id; null where the node is gone. */
export function bandwidthSourceOf(state: DaemonState, stage: NodeId): BandwidthSource | null {
  const { node } = placeOf(stage);
  return (node === state.self ? state.own.device : state.others.get(node)?.advert.device)?.bandwidthSource ?? null;
}
