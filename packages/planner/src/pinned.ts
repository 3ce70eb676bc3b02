import { ClusterdError, type LinkTable, type Pin, type PlannerNode } from "@clusterd/wire";
import type { CostModel } from "./cost.ts";
import { bySpeed, capacity, price, type Layout, type Priced } from "./layout.ts";

/** Checks pins against the model and the nodes. Throws `usage` naming what is wrong. */
export function checkPins(pins: readonly Pin[], layerCount: number, nodes: readonly PlannerNode[]): void {
  const sorted = [...pins].sort((a, b) => a.firstLayer - b.firstLayer);
  sorted.forEach((pin, index) => {
    const text = `${pin.node}=${pin.firstLayer}-${pin.lastLayer}`;
    if (!nodes.some((node) => node.name === pin.node))
      throw new ClusterdError("not_found", `--pin ${text}: there is no such node to use.`, {
        next: `Nodes: ${nodes.map((node) => node.name).join(", ")}.`,
      });
    if (pin.firstLayer < 0 || pin.lastLayer < pin.firstLayer || pin.lastLayer >= layerCount)
      throw new ClusterdError("usage", `--pin ${text}: the model's layers are 0-${layerCount - 1}.`);
    const before = sorted[index - 1];
    if (before !== undefined && before.lastLayer >= pin.firstLayer)
      throw new ClusterdError("usage", `--pin ${text} overlaps ${before.node}=${before.firstLayer}-${before.lastLayer}.`);
    if (sorted.some((other) => other !== pin && other.node === pin.node))
      throw new ClusterdError("usage", `--pin: ${pin.node} is pinned twice; a node holds one range.`);
  });
}

/** A placement that keeps the pins: what lies between them goes to the other nodes, fastest first. Null where that does not fit. */
export function planPinned(
  cost: CostModel,
  pins: readonly Pin[],
  nodes: readonly PlannerNode[],
  heads: readonly PlannerNode[],
  links: LinkTable,
): Priced | null {
  let best: Priced | null = null;
  for (const head of heads) {
    const shares = fillAround(cost, pins, nodes, head);
    if (shares === null) continue;
    // The engine gives the head the first layers only.
    const headAt = shares.findIndex((share) => share.node === head);
    if (headAt > 0) continue;
    const priced = price(cost, links, { head, shares });
    if (priced !== null && (best === null || priced.msPerToken < best.msPerToken)) best = priced;
  }
  return best;
}

function fillAround(
  cost: CostModel,
  pins: readonly Pin[],
  nodes: readonly PlannerNode[],
  head: PlannerNode,
): Layout["shares"] | null {
  const free = [...nodes].sort(bySpeed).filter((node) => !pins.some((pin) => pin.node === node.name));
  const shares: { node: PlannerNode; count: number }[] = [];
  const sorted = [...pins].sort((a, b) => a.firstLayer - b.firstLayer);
  let at = 0;
  const fill = (until: number): boolean => {
    while (at < until) {
      // The head may only hold the first layers: elsewhere it is passed over.
      const index = free.findIndex((node) => (node !== head || at === 0) && capacity(cost, node, node === head) > 0);
      const [node] = index < 0 ? [] : free.splice(index, 1);
      if (node === undefined) return false;
      const count = Math.min(until - at, capacity(cost, node, node === head));
      shares.push({ node, count });
      at += count;
    }
    return true;
  };
  for (const pin of sorted) {
    const node = nodes.find((candidate) => candidate.name === pin.node);
    if (node === undefined || !fill(pin.firstLayer)) return null;
    shares.push({ node, count: pin.lastLayer - pin.firstLayer + 1 });
    at = pin.lastLayer + 1;
  }
  return fill(cost.layerCount) ? shares : null;
}
