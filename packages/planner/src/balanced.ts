import { REMOTE_STAGES_MAX, type LinkTable, type PlannerNode } from "@clusterd/wire";
import { hopMs, type CostModel } from "./cost.ts";
import { bySpeed, capacity, pipelineOrder, price, type Priced } from "./layout.ts";

const BISECTIONS = 60;

/** The placement whose slowest stage is fastest: what many streams at once run into. Null where nothing fits. */
export function planThroughput(
  cost: CostModel,
  nodes: readonly PlannerNode[],
  heads: readonly PlannerNode[],
  links: LinkTable,
): Priced | null {
  let best: { priced: Priced; slowest: number } | null = null;
  for (const head of heads) {
    const priced = balanceFor(cost, [...nodes].sort(bySpeed), head, links);
    if (priced === null) continue;
    const slowest = Math.max(...priced.stages.map((stage) => stage.computeMs + stage.hopMs));
    if (
      best === null ||
      slowest < best.slowest - 1e-12 ||
      (Math.abs(slowest - best.slowest) <= 1e-12 && head.name < best.priced.layout.head.name)
    )
      best = { priced, slowest };
  }
  return best?.priced ?? null;
}

function balanceFor(cost: CostModel, nodes: readonly PlannerNode[], head: PlannerNode, links: LinkTable): Priced | null {
  /** Layers that each node manages within a time; null where they are not all placed. */
  const within = (limitMs: number): Map<PlannerNode, number> | null => {
    const counts = new Map<PlannerNode, number>();
    let left = cost.layerCount;
    let remote = 0;
    for (const node of nodes) {
      if (left === 0) break;
      if (node !== head && remote >= REMOTE_STAGES_MAX) continue;
      const hop = node === head ? 0 : hopMs(links, head.name, node.name, cost.model.hiddenBytes);
      let count = Math.min(left, capacity(cost, node, node === head));
      while (count > 0 && slowestRange(cost, count, node) + hop > limitMs) count--;
      if (count === 0) continue;
      if (node !== head) remote++;
      counts.set(node, count);
      left -= count;
    }
    return left === 0 ? counts : null;
  };
  let high = 1;
  let found = within(Infinity);
  if (found === null) return null;
  while (within(high) === null) high *= 2;
  let low = 0;
  for (let step = 0; step < BISECTIONS; step++) {
    const middle = (low + high) / 2;
    const counts = within(middle);
    if (counts === null) low = middle;
    else {
      high = middle;
      found = counts;
    }
  }
  return price(cost, links, { head, shares: pipelineOrder(head, within(high) ?? found) });
}

/** Time of the most costly run of so many layers on a node. */
function slowestRange(cost: CostModel, count: number, node: PlannerNode): number {
  if (cost.uniform) return cost.computeMs(0, count, node);
  let most = 0;
  for (let first = 0; first + count <= cost.layerCount; first++) most = Math.max(most, cost.computeMs(first, count, node));
  return most;
}

/** Every node gets layers in proportion to its budget: largest remainder, at least one each. Null where that does not fit. */
export function planSpread(
  cost: CostModel,
  nodes: readonly PlannerNode[],
  heads: readonly PlannerNode[],
  links: LinkTable,
): Priced | null {
  const sorted = [...nodes].sort((a, b) => (a.name < b.name ? -1 : 1));
  if (sorted.length > cost.layerCount) return null;
  for (const head of [...heads].sort(bySpeed)) {
    if (sorted.filter((node) => node !== head).length > REMOTE_STAGES_MAX) continue;
    const counts = proportional(sorted, cost.layerCount);
    const most = new Map(sorted.map((node) => [node, capacity(cost, node, node === head)]));
    // What a node cannot hold goes to the one with the most room left: the least change that fits.
    for (const node of sorted) {
      while ((counts.get(node) ?? 0) > (most.get(node) ?? 0)) {
        const room = (other: PlannerNode): number => (most.get(other) ?? 0) - (counts.get(other) ?? 0);
        const taker = sorted
          .filter((other) => room(other) > 0)
          .sort((a, b) => room(b) - room(a) || (a.name < b.name ? -1 : 1))[0];
        if (taker === undefined) break;
        counts.set(node, (counts.get(node) ?? 0) - 1);
        counts.set(taker, (counts.get(taker) ?? 0) + 1);
      }
    }
    if ([...counts.values()].some((count) => count < 1)) continue;
    const priced = price(cost, links, { head, shares: pipelineOrder(head, counts) });
    if (priced !== null) return priced;
  }
  return null;
}

function proportional(nodes: readonly PlannerNode[], layers: number): Map<PlannerNode, number> {
  const total = nodes.reduce((sum, node) => sum + node.memoryBytes, 0);
  const exact = nodes.map((node) => ({ node, share: total === 0 ? layers / nodes.length : (layers * node.memoryBytes) / total }));
  const counts = new Map(exact.map(({ node, share }) => [node, Math.max(1, Math.floor(share))]));
  let left = layers - [...counts.values()].reduce((sum, count) => sum + count, 0);
  const byRemainder = [...exact].sort((a, b) => (b.share % 1) - (a.share % 1) || (a.node.name < b.node.name ? -1 : 1));
  for (let index = 0; left > 0; index = (index + 1) % byRemainder.length) {
    const node = byRemainder[index]?.node;
    if (node !== undefined) counts.set(node, (counts.get(node) ?? 0) + 1);
    left--;
  }
  // "At least one each" may have given out too much: the largest shares give it back.
  while (left < 0) {
    const [largest] = [...counts].sort((a, b) => b[1] - a[1] || (a[0].name < b[0].name ? 1 : -1));
    if (largest === undefined) break;
    counts.set(largest[0], largest[1] - 1);
    left++;
  }
  return counts;
}
