import { ClusterdError, type Placement, type PlannerNode, type PlanRequest, type PlanResult } from "@clusterd/wire";
import { planSpread, planThroughput } from "./balanced.ts";
import { costModel, type CostModel } from "./cost.ts";
import { planLatency, type Search } from "./latency.ts";
import type { Priced } from "./layout.ts";
import { checkPins, planPinned } from "./pinned.ts";
import { refuse } from "./refuse.ts";
import { chosenSpeculation, plannedSpeculation } from "./speculation.ts";

/** Context where none is asked for: enough for a long conversation, cheap enough to fit beside most models. */
export const CONTEXT_DEFAULT = 8192;
const CONTEXT_MIN = 512;
/** Prompt for which a time to first token is predicted, unless another is asked for. Tokens. */
export const PROMPT_TOKENS_DEFAULT = 512;
/** A plan's prediction is this uncertain: bandwidth in use is 60 to 80 % of a table's peak, and the middle is planned with. */
const LOW = 0.6 / 0.7;
const HIGH = 0.8 / 0.7;

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
      return { ...placement(request, cost, search, search.best, usable.nodes, notes), speculation: planned };
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

function placement(
  request: PlanRequest,
  cost: CostModel,
  search: Search,
  best: Priced,
  nodes: readonly PlannerNode[],
  notes: readonly string[],
): Omit<Placement, "speculation"> {
  const { model } = request;
  const used = new Set([best.layout.head.name, ...best.stages.map((stage) => stage.node)]);
  const tokensPerSecond = 1000 / best.msPerToken;
  const stagesText =
    best.stages.length === 1
      ? []
      : [
          `Single-stream speed of a pipeline is the sum of its stages' times: ${best.stages.length} stages hold more, they are not faster.`,
        ];
  return {
    feasible: true,
    objective: request.objective,
    head: best.layout.head.name,
    context: cost.context,
    slots: request.slots,
    kv: request.kv,
    model: {
      name: model.name,
      layerCount: cost.layerCount,
      layers: model.layers.map((layer) => ({
        weightBytes: layer.weightBytes,
        activeBytes: layer.activeBytes,
        kvBytesPerToken: layer.kvElementsPerToken * cost.kvBytesPerElement,
      })),
      inputBytes: model.inputBytes,
      outputBytes: model.outputBytes,
      hiddenBytes: model.hiddenBytes,
    },
    costs: cost.costs,
    stages: best.stages,
    predicted: {
      msPerToken: best.msPerToken,
      headMs: best.headMs,
      tokensPerSecond,
      low: tokensPerSecond * LOW,
      high: tokensPerSecond * HIGH,
      timeToFirstTokenMs: null,
      promptTokens: request.promptTokens ?? PROMPT_TOKENS_DEFAULT,
    },
    certificate: {
      optimal: search.optimal,
      method: search.method,
      lowerBoundMsPerToken: search.lowerBoundMs,
      explored: search.explored,
    },
    runnerUp:
      search.runnerUp === null
        ? null
        : { head: search.runnerUp.layout.head.name, stages: search.runnerUp.stages, msPerToken: search.runnerUp.msPerToken },
    alternatives: [],
    bottleneck: { kind: "memory bandwidth", node: best.layout.head.name, ms: 0, share: 0 },
    unused: nodes.filter((node) => !used.has(node.name)).map((node) => ({ node: node.name, ...whyUnused(best, search) })),
    notes: [...notes, ...stagesText],
    why: [],
  };
}

function whyUnused(best: Priced, search: Search): { readonly why: string; readonly msPerTokenIfUsed: number | null } {
  const why =
    best.stages.length === 1
      ? "the model fits one machine; a split would only add hops"
      : search.runnerUp === null
        ? "not needed: the others hold the model"
        : "the others hold the model and are faster without it";
  return { why, msPerTokenIfUsed: null };
}
