import type { LinkTable, PlannerNode, PlanStage } from "@clusterd/wire";
import type { CostModel } from "./cost.ts";

/** A head and how many layers each node takes, in pipeline order; the head's own, if any, come first. */
export interface Layout {
  readonly head: PlannerNode;
  readonly shares: readonly { readonly node: PlannerNode; readonly count: number }[];
}

export interface Priced {
  readonly layout: Layout;
  readonly stages: readonly PlanStage[];
  readonly msPerToken: number;
  readonly headMs: number;
  /** The tightest stage's free share of its budget. */
  readonly headroom: number;
}

/** A layout's stages and figures, or null where some stage (or a head without layers) does not fit. */
export function price(cost: CostModel, links: LinkTable, layout: Layout): Priced | null {
  const { head, shares } = layout;
  if (head.memoryBytes < cost.headOnlyBytes) return null;
  const stages: PlanStage[] = [];
  let first = 0;
  let headroom = shares.some((share) => share.node.name === head.name) ? Infinity : 1 - cost.headOnlyBytes / head.memoryBytes;
  for (const { node, count } of shares) {
    const stage = cost.stage(node, head, first, count, links);
    if (stage.memoryBytes > stage.budgetBytes) return null;
    headroom = Math.min(headroom, 1 - stage.memoryBytes / stage.budgetBytes);
    stages.push(stage);
    first += count;
  }
  const headMs = cost.headMs(head);
  const msPerToken = headMs + stages.reduce((sum, stage) => sum + stage.computeMs + stage.hopMs, 0);
  return first === cost.layerCount && Number.isFinite(msPerToken) ? { layout, stages, msPerToken, headMs, headroom } : null;
}
