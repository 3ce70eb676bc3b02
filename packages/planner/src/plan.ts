import { ClusterdError, type PlannerNode, type PlanRequest, type PlanResult } from "@clusterd/wire";
import { contextNote, largestOn } from "./chosen-context.ts";
import { costModel } from "./cost.ts";
import { describePlacement } from "./describe-placement.ts";
import { THOROUGH } from "./effort.ts";
import { engineUseOf } from "./engine-use.ts";
import { makeField, type Field } from "./field.ts";
import { NO_WISHES } from "./head-problem.ts";
import { bestOverHeads } from "./heads.ts";
import { planLatency } from "./latency.ts";
import { trunkLayers } from "./layer-costs.ts";
import { lessToFetch } from "./less-to-fetch.ts";
import { withOwnLayers } from "./own-layers.ts";
import { checkPins } from "./pins.ts";
import { refuse } from "./refuse.ts";
import type { Search } from "./search.ts";
import { chosenSpeculation, plannedSpeculation } from "./speculation.ts";
import { planSpread } from "./spread.ts";
import { planThroughput } from "./throughput.ts";

/** Context by which a placement is chosen where none is asked for: enough for a long conversation, cheap enough to fit beside most models. */
export const CONTEXT_DEFAULT = 8192;
/** For a model that makes embeddings of whole texts: its buffers hold a batch of that many tokens, with logits for each. */
const WHOLE_TEXT_DEFAULT = 2048;
export const CONTEXT_MIN = 512;

/** The placement of a model on machines, or why there is none. Pure: the same request, nodes in any order, gives the same plan. */
export function plan(request: PlanRequest): PlanResult {
  return withOwnLayers(request, Math.min(request.model.contextMax, CONTEXT_DEFAULT), planAs);
}

function planAs(request: PlanRequest): PlanResult {
  const engine = engineUseOf(request);
  const usable = checked(request);
  const notes: string[] = [];
  const usual = request.model.embedding?.whole === true ? WHOLE_TEXT_DEFAULT : CONTEXT_DEFAULT;
  const wanted = request.context ?? Math.min(request.model.contextMax, usual);
  if (wanted > request.model.contextMax) {
    throw new ClusterdError(
      "usage",
      `A context of ${wanted} is beyond the ${request.model.contextMax} tokens the model was made for.`,
      { next: `Ask for at most --ctx ${request.model.contextMax}.`, param: "ctx" },
    );
  }
  for (let context = wanted; ; context = Math.floor(context / 2)) {
    const cost = costModel(request.model, context, request.slots, request.kv, request.draft, engine);
    const search = searchFor(request, makeField(cost, usable.nodes, usable.heads, request.links, request.pins));
    if (search.best !== null) {
      const found = { cost, search: lessToFetch(request, cost, { ...search, best: search.best }, usable.nodes) };
      // Where even the smaller one had to shrink there is no room to grow.
      const grown = request.context === undefined && context === wanted ? largestOn(request, found) : found;
      if (request.context === undefined) notes.push(contextNote(grown.cost.context, wanted, request.model.contextMax));
      const planned = plannedSpeculation(chosenSpeculation(request), request.draft, grown.cost);
      return describePlacement(request, grown.cost, grown.search, usable.nodes, [...notes, ...grown.search.notes], planned);
    }
    if (request.context === undefined && context / 2 >= CONTEXT_MIN) continue;
    const refusal = refuse(request, cost, usable.nodes, usable.heads, (other) => feasible(other, cost.context));
    return search.optimal ? refusal : { ...refusal, why: [...refusal.why, GIVEN_UP] };
  }
}

const GIVEN_UP = "The search was given up before this was proven: what fits so tightly that it was not found may exist.";

/** Whether another request fits, at the same context unless it names one. */
function feasible(request: PlanRequest, context: number): boolean {
  try {
    const { nodes, heads } = checked(request);
    const engine = engineUseOf(request);
    const cost = costModel(request.model, request.context ?? context, request.slots, request.kv, request.draft, engine);
    const field = makeField(cost, nodes, heads, request.links, request.pins);
    if (request.objective === "spread") return planSpread(field, 0).best !== null;
    return bestOverHeads(field, field.heads, NO_WISHES, Infinity, THOROUGH, true).found !== null;
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
  if (trunkLayers(request.model) < 1)
    throw new ClusterdError("unsupported", `${request.model.id} has no layers to place.`, { param: "model" });
  if (!request.model.layers.every((layer) => layer.weightBytes >= 0 && layer.activeBytes >= 0 && layer.kvElementsPerToken >= 0))
    throw new ClusterdError("unsupported", `The layers of ${request.model.id} have sizes that are no numbers.`, {
      param: "model",
    });
  if (!Number.isInteger(request.slots) || request.slots < 1)
    throw new ClusterdError("usage", "There must be at least one slot.", { param: "slots" });
  const allowed = request.nodes.filter((node) => !request.without.includes(node.name));
  if (request.head !== undefined && !allowed.some((node) => node.name === request.head))
    throw new ClusterdError("usage", `${request.head} cannot be the head and left out at once.`);
  checkPins(request.pins, trunkLayers(request.model), allowed);
  const nodes = allowed
    .filter((node) => node.memoryBytes > 0 && node.bandwidthBytesPerSecond > 0)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  return { nodes, heads: nodes.filter((node) => node.canHead && (request.head === undefined || node.name === request.head)) };
}

function searchFor({ objective, top = 1 }: PlanRequest, field: Field): Search {
  if (objective === "throughput") return planThroughput(field, top);
  if (objective === "spread") return planSpread(field, top);
  return planLatency(field, top);
}
