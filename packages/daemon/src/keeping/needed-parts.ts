import type { ShardWish } from "@clusterd/catalog";
import { placeOf, type ContentId } from "@clusterd/wire";
import type { DaemonState } from "../state/daemon-state.ts";
import { allDeployments } from "../state/view.ts";
import { WHOLE, type NeededPart } from "./use-book.ts";

const NO_LAYERS = { firstLayer: 0, lastLayer: -1 };

/** What the deployments that there are, and have not failed, need of the models on this node's disk. */
export function neededParts(state: DaemonState): readonly NeededPart[] {
  const { self } = state;
  const parts: NeededPart[] = [];
  for (const { contentId, view } of allDeployments(state)) {
    if (view.state === "failed") continue;
    const stages = view.stages.filter(({ node }) => placeOf(node).node === self);
    for (const { firstLayer, lastLayer } of stages)
      parts.push({ contentId, wish: { firstLayer, lastLayer, isHead: view.head === self } });
    if (view.head === self && stages.length === 0) parts.push({ contentId, wish: { ...NO_LAYERS, isHead: true } });
  }
  // The head alone reads the draft model.
  for (const { phase, placement } of state.deployments.values()) {
    const { draft } = placement.speculation;
    if (phase !== "failed" && draft !== null) parts.push({ contentId: draft.contentId, wish: WHOLE });
  }
  return parts;
}

/** The wishes for each model. */
export function byContent(parts: readonly NeededPart[]): ReadonlyMap<ContentId, readonly ShardWish[]> {
  const wishes = new Map<ContentId, ShardWish[]>();
  for (const { contentId, wish } of parts) {
    const own = wishes.get(contentId) ?? [];
    own.push(wish);
    wishes.set(contentId, own);
  }
  return wishes;
}
