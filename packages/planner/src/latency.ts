import { NO_WISHES, type Wishes } from "./head-problem.ts";
import { THOROUGH } from "./effort.ts";
import type { Field, Member } from "./field.ts";
import { alternativesTo } from "./alternatives.ts";
import { mostEven } from "./headroom.ts";
import { bestOverHeads, likelyHeads, type Found } from "./heads.ts";
import { price, type Priced } from "./layout.ts";
import { NEAR_BEST, nothingFound, type Search } from "./search.ts";
import { ifUsed } from "./unused.ts";

/** The fastest placement for one stream; never split where one machine holds all. */
export function planLatency(field: Field, top: number): Search {
  const alone = field.pinned ? null : fastestAlone(field);
  if (alone !== null) return withOthers(field, likelyHeads(field, NO_WISHES), alone.best, top, { ...alone, notes: [] });
  const { found, boundMs, complete } = bestOverHeads(field, field.heads, NO_WISHES, Infinity, THOROUGH);
  if (found === null) return nothingFound(field.effort.explored, complete);
  const proven = boundMs * (1 + NEAR_BEST);
  // Where the proof was given up, only what is within 2 % of what is proven is equally good.
  const near = complete || found.path.ms <= proven;
  const belowMs = near ? proven : found.path.ms;
  const heads = likelyHeads(field, NO_WISHES);
  const best = mostEven(field, { heads, wishes: NO_WISHES, belowMs, fewestStages: true }, found);
  if (best === null) return nothingFound(field.effort.explored);
  return withOthers(field, heads, best, top, {
    optimal: near,
    method: methodOf(field, found, boundMs, complete),
    lowerBoundMs: boundMs,
    notes: [],
  });
}

function methodOf(field: Field, { path }: Found, boundMs: number, complete: boolean): string {
  const how =
    field.cost.uniform && !field.pinned
      ? "every head, set and cut by dynamic programming over machines and equal layers"
      : "every head, set, order and cut by labels over layers, bounded by a Lagrangian relaxation";
  if (complete) return how;
  const gap = boundMs > 0 ? ((path.ms / boundMs - 1) * 100).toFixed(1) : "∞";
  return `${how}; given up after ${field.effort.explored} partial placements, within ${gap} % of the lower bound`;
}

interface Alone {
  readonly best: Priced;
  readonly optimal: boolean;
  readonly method: string;
  readonly lowerBoundMs: number;
}

/** Of the machines that hold the whole model, the fastest; of those equally fast the one with the most room. */
function fastestAlone(field: Field): Alone | null {
  const { cost, layerCount } = field;
  const able = field.heads
    .filter(({ node }) => cost.memoryBytes(0, layerCount, true) <= node.memoryBytes)
    .map((head) => ({ head, ms: cost.headMs(head.node) + cost.computeMs(0, layerCount, head.node) }));
  if (able.length === 0) return null;
  field.effort.explored += able.length;
  const fastest = able.reduce((least, { ms }) => Math.min(least, ms), Infinity);
  const [first] = able
    .filter(({ ms }) => ms <= fastest * (1 + NEAR_BEST))
    .sort(
      (a, b) =>
        b.head.node.memoryBytes - a.head.node.memoryBytes || a.ms - b.ms || (a.head.node.name < b.head.node.name ? -1 : 1),
    );
  if (first === undefined) return null;
  const best = price(cost, field.links, { head: first.head.node, shares: [{ node: first.head.node, count: layerCount }] });
  if (best === null) return null;
  return {
    best,
    optimal: true,
    method: "every machine that holds the whole model was compared, which is never split",
    lowerBoundMs: fastest,
  };
}

/** The search's result with its alternatives and what the unused machines would have done. */
export function withOthers(
  field: Field,
  heads: readonly Member[],
  best: Priced,
  top: number,
  rest: Pick<Search, "optimal" | "method" | "lowerBoundMs" | "notes">,
  wishes: Wishes = NO_WISHES,
): Search {
  const { unused, placements } = ifUsed(field, heads, best, wishes);
  const alternatives = alternativesTo(field, heads, best, wishes, Math.max(1, top), placements);
  return {
    ...rest,
    best,
    runnerUp: alternatives[0] ?? null,
    alternatives: alternatives.slice(0, top),
    unused,
    explored: field.effort.explored,
  };
}
