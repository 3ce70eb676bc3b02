import { ClusterdError, type PlannerNode, type PlanRequest, type PlanResult } from "@clusterd/wire";
import { planSpread, planThroughput } from "./balanced.ts";
import { costModel, type CostModel } from "./cost.ts";
import { describePlacement } from "./describe-placement.ts";
import { planLatency, type Search } from "./latency.ts";
import type { Priced } from "./layout.ts";
import { checkPins, planPinned } from "./pinned.ts";
import { refuse } from "./refuse.ts";
import { chosenSpeculation, plannedSpeculation } from "./speculation.ts";

/** Context where none is asked for: enough for a long conversation, cheap enough to fit beside most models. */
export const CONTEXT_DEFAULT = 8192;
const CONTEXT_MIN = 512;

/** The placement of a model on machines, or why there is none. Pure: the same request, nodes in any order, gives the same plan. */
export function plan(request: PlanRequest): PlanResult {
  const speculation = chosenSpeculation(request);
  const usable = checked(request);
  const notes: string[] = [];
  const wanted = request.context ?? Math.min(request.model.contextMax, CONTEXT_DEFAULT);
  if (wanted > request.model.contextMax) {
    throw new ClusterdError(
      "usage",
      `A context of ${wanted} is beyond the ${request.model.contextMax} tokens the model was made for.`,
      { next: `Ask for at most --ctx ${request.model.contextMax}.`, param: "ctx" },
    );
  }
  for (let context = wanted; ; context = Math.floor(context / 2)) {
    const cost = costModel(request.model, context, request.slots, request.kv, request.draft);
    const search = searchFor(request, cost, usable.nodes, usable.heads);
    if (search.best !== null) {
      if (request.context === undefined)
        notes.push(
          context === wanted
            ? `Context ${context} (the default where none is asked for).`
            : `Context ${context}: the largest of ${wanted}, ${wanted / 2}, … that fits.`,
        );
      const planned = plannedSpeculation(speculation, request.draft, cost);
      return describePlacement(request, cost, { ...search, best: search.best }, usable.nodes, notes, planned);
    }
    if (request.context !== undefined || context / 2 < CONTEXT_MIN)
      return refuse(request, cost, usable.nodes, usable.heads, (other) => feasible(other, cost.context));
  }
}

/** Whether another request fits, at the same context unless it names one. */
function feasible(request: PlanRequest, context: number): boolean {
  try {
    const { nodes, heads } = checked(request);
    return (
      searchFor(
        request,
        costModel(request.model, request.context ?? context, request.slots, request.kv, request.draft),
        nodes,
        heads,
      ).best !== null
    );
  } catch {
    return false;
  }
}

function checked(request: PlanRequest): { readonly nodes: readonly PlannerNode[]; readonly heads: readonly PlannerNode[] } {
  const names = request.nodes.map((node) => node.name);
  for (const name of [...request.without, ...(request.head === undefined ? [] : [request.head])]) {
    if (!names.includes(name))
      throw new ClusterdError("not_found", `There is no node ${JSON.stringify(name)}.`, { next: `Nodes: ${names.join(", ")}.` });
  }
  if (!Number.isInteger(request.slots) || request.slots < 1)
    throw new ClusterdError("usage", "There must be at least one slot.", { param: "slots" });
  const allowed = request.nodes.filter((node) => !request.without.includes(node.name));
  if (request.head !== undefined && !allowed.some((node) => node.name === request.head))
    throw new ClusterdError("usage", `${request.head} cannot be the head and left out at once.`);
  checkPins(request.pins, request.model.layers.length, allowed);
  const nodes = allowed
    .filter((node) => node.memoryBytes > 0 && node.bandwidthBytesPerSecond > 0)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  return { nodes, heads: nodes.filter((node) => node.canHead && (request.head === undefined || node.name === request.head)) };
}

function searchFor(request: PlanRequest, cost: CostModel, nodes: readonly PlannerNode[], heads: readonly PlannerNode[]): Search {
  if (request.pins.length > 0)
    return single(planPinned(cost, request.pins, nodes, heads, request.links), "pins kept, the rest to the fastest first");
  if (request.objective === "throughput")
    return single(planThroughput(cost, nodes, heads, request.links), "bisection on the slowest stage's time");
  if (request.objective === "spread")
    return single(planSpread(cost, nodes, heads, request.links), "in proportion to the budgets, largest remainder");
  return planLatency(cost, nodes, heads, request.links);
}

function single(best: Priced | null, method: string): Search {
  return { best, runnerUp: null, optimal: false, method, lowerBoundMs: 0, explored: 1 };
}
