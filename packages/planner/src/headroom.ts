import { besideEffort } from "./effort.ts";
import type { Field, Member } from "./field.ts";
import type { Wishes } from "./head-problem.ts";
import { bestOverHeads, type Found } from "./heads.ts";
import type { Priced } from "./layout.ts";
import { priceOf } from "./path.ts";

/** To which share of a budget the most even headroom is found by halving; from there on by what is found. */
const PRECISION = 0.01;
/** Added to a headroom to ask for more. */
const MORE = 1e-9;
/** Steps after halving at most. */
const LAST_STEPS_MAX = 12;

/** What a placement may cost to count as equally good, and what decides between those with equal headroom. */
export interface Even {
  readonly heads: readonly Member[];
  readonly wishes: Wishes;
  /** All placements that take less are equally good. */
  readonly belowMs: number;
  readonly fewestStages: boolean;
}

/**
 * Of all equally good placements, the one whose tightest stage has the largest free share of its budget; of those the one with the fewest
 * remote stages (if asked for), then the fastest, then the first by name.
 */
export function mostEven(field: Field, even: Even, start: Found): Priced | null {
  const first = priceOf(field, start.problem, start.path);
  if (first === null) return null;
  let best = first;
  const effort = besideEffort(field.members.length);
  const probe = (wishes: Partial<Wishes>, anyWill: boolean): Priced | null => {
    const { found } = bestOverHeads(field, even.heads, { ...even.wishes, ...wishes }, even.belowMs, effort, anyWill);
    return found === null ? null : priceOf(field, found.problem, found.path);
  };
  /** Whether more headroom than that is possible; if so, `best` has it. */
  const raise = (free: number): boolean => {
    const priced = probe({ free }, true);
    if (priced === null || priced.headroom <= best.headroom) return false;
    best = priced;
    return true;
  };
  let high = 1;
  while (high - best.headroom > PRECISION) {
    const middle = (best.headroom + high) / 2;
    if (!raise(middle)) high = middle;
  }
  for (let step = 0; step < LAST_STEPS_MAX && raise(best.headroom + MORE); step++);
  const free = best.headroom - MORE;
  const remote = (priced: Priced): number => priced.stages.filter((stage) => stage.node !== priced.layout.head.name).length;
  let remoteMax = remote(best);
  while (even.fewestStages && remoteMax > 0) {
    const priced = probe({ free, remoteMax: remoteMax - 1 }, true);
    if (priced === null) break;
    best = priced;
    remoteMax = remote(priced);
  }
  const fastest = probe(even.fewestStages ? { free, remoteMax } : { free }, false);
  return fastest === null || fastest.msPerToken >= best.msPerToken ? best : fastest;
}
