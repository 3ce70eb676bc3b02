import type { PlannerNode, PlanRequest } from "@clusterd/wire";
import { costModel } from "../cost.ts";
import { price, type Layout, type Priced } from "../layout.ts";

/** Every placement there is: every head, every order of every set of machines, every cut. */
export function everyPlacement(request: PlanRequest): readonly Priced[] {
  const cost = costModel(request.model, request.context ?? 0, request.slots, request.kv);
  const nodes = request.nodes.filter((node) => !request.without.includes(node.name));
  const pinOf = new Map(request.pins.map((pin) => [pin.node, pin]));
  const found: Priced[] = [];
  const walk = (head: PlannerNode, shares: Layout["shares"], first: number): void => {
    if (first === cost.layerCount) {
      if (!request.pins.every((pin) => shares.some((share) => share.node.name === pin.node))) return;
      const priced = price(cost, request.links, { head, shares });
      if (priced !== null) found.push(priced);
      return;
    }
    for (const node of nodes) {
      if (shares.some((share) => share.node === node) || (node === head && first > 0)) continue;
      const pin = pinOf.get(node.name);
      for (let count = 1; first + count <= cost.layerCount; count++) {
        if (cost.memoryBytes(first, count, node === head) > node.memoryBytes) break;
        if (pin !== undefined && (pin.firstLayer !== first || pin.lastLayer !== first + count - 1)) continue;
        walk(head, [...shares, { node, count }], first + count);
      }
    }
  };
  for (const head of nodes) if (head.canHead && (request.head === undefined || request.head === head.name)) walk(head, [], 0);
  return found;
}
