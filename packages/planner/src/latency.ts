import { REMOTE_STAGES_MAX, type LinkTable, type PlannerNode } from "@clusterd/wire";
import { hopMs, type CostModel } from "./cost.ts";
import { bySpeed, capacity, pipelineOrder, preferred, price, type Priced } from "./layout.ts";

/** Placements within this share of the fastest count as equally fast. */
export const NEAR_BEST = 0.02;
/** Up to so many nodes every set of them is tried; beyond, only sets that fill the fastest first. */
const EXHAUSTIVE_NODES_MAX = 11;
/** Heads tried in larger clusters. */
const HEADS_MAX = 24;

export interface Search {
  readonly best: Priced | null;
  /** The best that uses another head or other nodes. */
  readonly runnerUp: Priced | null;
  readonly optimal: boolean;
  readonly method: string;
  readonly lowerBoundMs: number;
  readonly explored: number;
}

/** The fastest placement for one stream; never split where one machine holds all. */
export function planLatency(
  cost: CostModel,
  nodes: readonly PlannerNode[],
  heads: readonly PlannerNode[],
  links: LinkTable,
): Search {
  const sorted = [...nodes].sort(bySpeed);
  const candidates: Priced[] = [];
  let explored = 0;
  const consider = (head: PlannerNode, set: readonly PlannerNode[]): void => {
    explored++;
    const priced = fastestOn(cost, links, head, set);
    if (priced !== null) candidates.push(priced);
  };
  for (const head of heads) consider(head, [head]);
  const alone = candidates.length > 0;
  const exhaustive = sorted.length <= EXHAUSTIVE_NODES_MAX;
  if (!alone) {
    for (const head of [...heads].sort(bySpeed).slice(0, exhaustive ? undefined : HEADS_MAX)) {
      if (exhaustive) for (const set of subsets(sorted)) consider(head, set);
      else for (const set of likelySets(cost, sorted, head, links)) consider(head, set);
    }
  }
  const best = pick(cost, links, candidates);
  const bestKey = best === null ? "" : setKey(best);
  const rest = candidates.filter((candidate) => setKey(candidate) !== bestKey);
  const runnerUp = rest.reduce<Priced | null>(
    (found, candidate) => (found === null || candidate.msPerToken < found.msPerToken ? candidate : found),
    null,
  );
  const fastest = candidates.reduce((least, candidate) => Math.min(least, candidate.msPerToken), Infinity);
  const proven = alone || (exhaustive && cost.uniform);
  return {
    best,
    runnerUp,
    optimal: proven && best !== null && best.msPerToken <= fastest * (1 + NEAR_BEST),
    method: alone
      ? "every machine that holds the whole model was compared"
      : exhaustive
        ? cost.uniform
          ? "every set of machines and every head, layers to the fastest first (optimal for equal layers)"
          : "every set of machines and every head, layers to the fastest first (not proven for unequal layers)"
        : "the fastest machines first, for each of the likeliest heads",
    lowerBoundMs: proven && Number.isFinite(fastest) ? fastest : lowerBound(cost, sorted, heads),
    explored,
  };
}

/** Layers to the fastest of a set, each of which takes at least one. */
function fastestOn(cost: CostModel, links: LinkTable, head: PlannerNode, set: readonly PlannerNode[]): Priced | null {
  if (set.filter((node) => node !== head).length > REMOTE_STAGES_MAX || set.length > cost.layerCount) return null;
  const counts = new Map<PlannerNode, number>();
  let left = cost.layerCount;
  for (const [index, node] of set.entries()) {
    const others = set.length - index - 1;
    const count = Math.min(capacity(cost, node, node === head), left - others);
    if (count < 1) return null;
    counts.set(node, count);
    left -= count;
  }
  return left > 0 ? null : price(cost, links, { head, shares: pipelineOrder(head, counts) });
}

/** Of all that are within 2 % of the fastest, the one with the most even headroom, evened out further within the same 2 %. */
function pick(cost: CostModel, links: LinkTable, candidates: readonly Priced[]): Priced | null {
  const fastest = candidates.reduce((least, candidate) => Math.min(least, candidate.msPerToken), Infinity);
  const limit = fastest * (1 + NEAR_BEST);
  let best: Priced | null = null;
  for (const candidate of candidates) {
    if (candidate.msPerToken > limit) continue;
    const evened = even(cost, links, candidate, limit);
    if (best === null || preferred(evened, best)) best = evened;
  }
  return best;
}

/** Moves layers one by one from the tightest stage to where they leave more headroom, as long as the time stays within the limit. */
export function even(cost: CostModel, links: LinkTable, start: Priced, limitMs: number): Priced {
  let current = start;
  for (let moves = 0; moves < cost.layerCount * current.stages.length; moves++) {
    const { shares, head } = current.layout;
    let better: Priced | null = null;
    for (const from of shares) {
      if (from.count < 2) continue;
      for (const to of shares) {
        if (to === from) continue;
        const moved = shares.map((share) =>
          share === from ? { ...share, count: share.count - 1 } : share === to ? { ...share, count: share.count + 1 } : share,
        );
        const priced = price(cost, links, { head, shares: moved });
        if (priced === null || priced.msPerToken > limitMs || priced.headroom <= (better ?? current).headroom + 1e-9) continue;
        better = priced;
      }
    }
    if (better === null) return current;
    current = better;
  }
  return current;
}

function* subsets(nodes: readonly PlannerNode[]): Generator<readonly PlannerNode[]> {
  for (let bits = 1; bits < 1 << nodes.length; bits++) yield nodes.filter((_, index) => (bits & (1 << index)) !== 0);
}

/** The sets a large cluster is searched by: the k machines with the least time per layer, hop included, with and without the head. */
function* likelySets(
  cost: CostModel,
  sorted: readonly PlannerNode[],
  head: PlannerNode,
  links: LinkTable,
): Generator<readonly PlannerNode[]> {
  const timePerLayer = (node: PlannerNode): number => {
    const most = Math.max(1, capacity(cost, node, node === head));
    const hop = node === head ? 0 : hopMs(links, head.name, node.name, cost.model.hiddenBytes);
    return (cost.computeMs(0, most, node) + hop) / most;
  };
  const usable = sorted
    .filter((node) => capacity(cost, node, node === head) > 0)
    .map((node) => ({ node, ms: timePerLayer(node) }));
  const ranked = usable.sort((a, b) => a.ms - b.ms || bySpeed(a.node, b.node)).map(({ node }) => node);
  const byRoom = [...ranked].sort((a, b) => b.memoryBytes - a.memoryBytes || bySpeed(a, b));
  for (const order of [ranked, byRoom]) {
    const remote = order.filter((node) => node !== head);
    for (let size = 1; size <= Math.min(REMOTE_STAGES_MAX, remote.length); size++) {
      const set = remote.slice(0, size);
      yield [...set].sort(bySpeed);
      yield [...set, head].sort(bySpeed);
    }
  }
}

function setKey(priced: Priced): string {
  return [priced.layout.head.name, ...priced.stages.map((stage) => stage.node).sort()].join("\n");
}

/** No placement can be faster than all layers on the fastest machine and the output on the fastest head. */
function lowerBound(cost: CostModel, nodes: readonly PlannerNode[], heads: readonly PlannerNode[]): number {
  const compute = nodes.reduce((least, node) => Math.min(least, cost.computeMs(0, cost.layerCount, node)), Infinity);
  const output = heads.reduce((least, head) => Math.min(least, cost.headMs(head)), Infinity);
  return Number.isFinite(compute + output) ? compute + output : 0;
}
