import type {
  Alternative,
  ModelProfile,
  Placement,
  PlannedSpeculation,
  PlannerNode,
  PlanRequest,
  PlanStage,
} from "@clusterd/wire";
import { hopMs, type CostModel } from "./cost.ts";
import { explainPlacement } from "./explain.ts";
import type { Priced } from "./layout.ts";
import { findBottleneck, predictFirstToken, predictSpeed, PROMPT_TOKENS_DEFAULT } from "./predict.ts";
import type { Search } from "./search.ts";
import { toFetch } from "./to-fetch.ts";

/** A search's result as a plan that says all of itself: costs, prediction, proof, alternatives, reasons. */
export function describePlacement(
  request: PlanRequest,
  cost: CostModel,
  search: Search & { readonly best: Priced },
  nodes: readonly PlannerNode[],
  notes: readonly string[],
  speculation: PlannedSpeculation,
): Placement {
  const { model, links } = request;
  const { best } = search;
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const placed = { ...best, head: best.layout.head.name, stageOverheadMs: cost.costs.stageOverheadMs };
  const promptTokens = request.promptTokens ?? PROMPT_TOKENS_DEFAULT;
  const used = new Set([placed.head, ...best.stages.map((stage) => stage.node)]);
  const described: Omit<Placement, "why"> = {
    feasible: true,
    objective: request.objective,
    head: placed.head,
    context: cost.context,
    slots: request.slots,
    kv: request.kv,
    flashAttention: cost.engine.flashAttention ?? true,
    speculation,
    model: {
      name: model.name,
      layerCount: cost.layerCount,
      layers: cost.layers,
      inputBytes: model.inputBytes,
      outputBytes: model.outputBytes,
      hiddenBytes: model.hiddenBytes,
    },
    costs: cost.costs,
    stages: best.stages.map((stage) => withFetch(stage, byName.get(stage.node), placed.head, model)),
    predicted: {
      ...predictSpeed(placed, byName),
      timeToFirstTokenMs: predictFirstToken(
        placed,
        model.layers,
        byName,
        (stage, tokens) => (stage.node === placed.head ? 0 : hopMs(links, placed.head, stage.node, model.hiddenBytes * tokens)),
        promptTokens,
      ),
      promptTokens,
    },
    certificate: {
      optimal: search.optimal,
      method: search.method,
      lowerBoundMsPerToken: search.lowerBoundMs,
      explored: search.explored,
    },
    runnerUp: search.runnerUp === null ? null : asAlternative(search.runnerUp),
    alternatives: search.alternatives.map(asAlternative),
    bottleneck: findBottleneck(placed),
    unused: nodes
      .filter((node) => !used.has(node.name))
      .map(({ name }) => ({ node: name, ...(search.unused.get(name) ?? { why: "not needed", msPerTokenIfUsed: null }) })),
    notes,
  };
  return { ...described, why: explainPlacement(described, byName) };
}

/** A stage with what its node lacks on its disk, where that is known. */
function withFetch(stage: PlanStage, node: PlannerNode | undefined, head: string, model: ModelProfile): PlanStage {
  if (node?.held === undefined) return stage;
  const { firstLayer, lastLayer } = stage;
  return { ...stage, fetchBytes: toFetch(model, node.held)({ firstLayer, lastLayer, isHead: stage.node === head }) };
}

function asAlternative(priced: Priced): Alternative {
  return { head: priced.layout.head.name, stages: priced.stages, msPerToken: priced.msPerToken };
}
