import type { PlanRequest } from "@clusterd/wire";
import { costModel, type CostModel } from "./cost.ts";
import { price, type Priced } from "./layout.ts";
import type { Search } from "./search.ts";

/** What a context that nobody asked for may be at most: what agents that read files come by with. */
export const CONTEXT_CHOSEN_MAX = 32_768;

/** A search's result and the costs it was priced with. */
interface Found {
  readonly cost: CostModel;
  readonly search: Search & { readonly best: Priced };
}

/**
 * The same placement with the largest context that its machines have room for: no further machine takes part, no layer moves, and
 * predictions stay, for as much context is read as before. Where no larger one fits, what was found.
 */
export function largestOn(request: PlanRequest, found: Found): Found {
  const { cost, search } = found;
  const engine = { ...cost.engine, contextTokensRead: cost.costs.contextTokensRead };
  // A batch of whole texts takes buffers as large as its context: there more is asked for by name.
  if (request.model.embedding?.whole === true) return found;
  for (let context = Math.min(request.model.contextMax, CONTEXT_CHOSEN_MAX); context > cost.context; context = halfOf(context)) {
    const larger = costModel(request.model, context, request.slots, request.kv, request.draft, engine);
    const again = (placed: Priced): Priced | null => price(larger, request.links, placed.layout);
    const best = again(search.best);
    if (best === null) continue;
    const others = (all: readonly Priced[]): readonly Priced[] => all.map((placed) => again(placed) ?? placed);
    const runnerUp = search.runnerUp === null ? null : (again(search.runnerUp) ?? search.runnerUp);
    return { cost: larger, search: { ...search, best, runnerUp, alternatives: others(search.alternatives) } };
  }
  return found;
}

/** Half of a context, in whole blocks of 256 as the engine counts. */
function halfOf(context: number): number {
  return Math.floor(context / 512) * 256;
}

/** How a context that nobody asked for came about. */
export function contextNote(context: number, wanted: number, contextMax: number): string {
  if (context < wanted) return `Context ${context}: the largest of ${wanted}, ${wanted / 2}, … that fits.`;
  const most = Math.min(contextMax, CONTEXT_CHOSEN_MAX);
  if (context < most) return `Context ${context}: as large as has room on these machines; --ctx asks for another.`;
  return context === contextMax
    ? `Context ${context}: all that the model was made for.`
    : `Context ${context}: where none is asked for no larger one is chosen; the model was made for ${contextMax} (--ctx).`;
}
