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

/** The most layers a node can take wherever they lie: exact for uniform layers, safe for others. */
export function capacity(cost: CostModel, node: PlannerNode, isHead: boolean): number {
  const base = isHead ? cost.headOnlyBytes : cost.costs.workerBufferBytes;
  let count = 0;
  while (
    count < cost.layerCount &&
    base + cost.costs.workerBufferBytesPerLayer * (isHead ? 0 : count + 1) + (cost.widest[count + 1] ?? Infinity) <=
      node.memoryBytes
  )
    count++;
  return count;
}

/** Nodes in the order in which they are given layers: the fastest first, then by name, so that equal input gives equal plans. */
export function bySpeed(a: PlannerNode, b: PlannerNode): number {
  return b.bandwidthBytesPerSecond - a.bandwidthBytesPerSecond || b.memoryBytes - a.memoryBytes || (a.name < b.name ? -1 : 1);
}

/** Puts the head's share first; the others keep their order. */
export function pipelineOrder(head: PlannerNode, counts: ReadonlyMap<PlannerNode, number>): Layout["shares"] {
  const shares = [...counts].filter(([, count]) => count > 0).map(([node, count]) => ({ node, count }));
  return [...shares.filter((share) => share.node === head), ...shares.filter((share) => share.node !== head)];
}

/** Whether a is to be preferred to b, of two that count as equally fast: more even headroom, fewer stages, stable names. */
export function preferred(a: Priced, b: Priced): boolean {
  if (Math.abs(a.headroom - b.headroom) > 1e-9) return a.headroom > b.headroom;
  if (a.stages.length !== b.stages.length) return a.stages.length < b.stages.length;
  return nameOf(a) < nameOf(b);
}

function nameOf(priced: Priced): string {
  return [priced.layout.head.name, ...priced.stages.map((stage) => `${stage.node}:${stage.firstLayer}`)].join("\n");
}
