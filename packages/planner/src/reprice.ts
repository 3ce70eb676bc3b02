import type { PlanRequest, PlanStage } from "@clusterd/wire";
import { costModel } from "./cost.ts";
import { CONTEXT_DEFAULT } from "./plan.ts";
import { engineUseOf } from "./engine-use.ts";

/** A placement as it is deployed. */
export interface DeployedStage {
  readonly node: string;
  readonly firstLayer: number;
  readonly lastLayer: number;
}

export interface Repriced {
  readonly head: string;
  readonly stages: readonly PlanStage[];
  readonly headMs: number;
  readonly msPerToken: number;
  /** Whether it still fits the budgets of now. */
  readonly fits: boolean;
}

/**
 * What a placement that is deployed already costs by the figures of now, at the request's context. Null where it cannot be told: a machine
 * is gone, or these are not all the model's layers.
 */
export function repricePlacement(request: PlanRequest, stages: readonly DeployedStage[], head: string): Repriced | null {
  const context = request.context ?? Math.min(request.model.contextMax, CONTEXT_DEFAULT);
  const cost = costModel(request.model, context, request.slots, request.kv, request.draft, engineUseOf(request));
  const nodes = new Map(request.nodes.map((node) => [node.name, node]));
  const headNode = nodes.get(head);
  if (headNode === undefined) return null;
  const repriced: PlanStage[] = [];
  let next = 0;
  for (const { node: name, firstLayer, lastLayer } of stages) {
    const node = nodes.get(name);
    if (node === undefined || firstLayer !== next || lastLayer < firstLayer) return null;
    repriced.push(cost.stage(node, headNode, firstLayer, lastLayer - firstLayer + 1, request.links));
    next = lastLayer + 1;
  }
  if (next !== cost.layerCount) return null;
  const headMs = cost.headMs(headNode);
  const msPerToken = headMs + repriced.reduce((sum, stage) => sum + stage.computeMs + stage.hopMs, 0);
  const fits = cost.headOnlyBytes <= headNode.memoryBytes && repriced.every((stage) => stage.memoryBytes <= stage.budgetBytes);
  return Number.isFinite(msPerToken) ? { head, stages: repriced, headMs, msPerToken, fits } : null;
}
