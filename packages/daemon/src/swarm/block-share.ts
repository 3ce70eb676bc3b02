import { createHash } from "node:crypto";
import type { NodeId } from "@clusterd/wire";

/** How much a block is a node's own, from 0 to 1: the same on every node that reckons it. */
export function weightOf(node: NodeId, contentId: string, block: number): number {
  return createHash("sha256").update(`${node}/${contentId}/${block}`).digest().readUIntBE(0, 6) / 2 ** 48;
}

/**
 * Whose share of what several nodes fetch a block is: the one whose weight is the greatest (rendezvous hashing). Who goes leaves its blocks
 * to the others alike, and no other block changes hands. Without anyone it is nobody's.
 */
export function sharerOf(nodes: readonly NodeId[], contentId: string, block: number): NodeId | null {
  let best: NodeId | null = null;
  let most = -1;
  for (const node of nodes) {
    const weight = weightOf(node, contentId, block);
    if (weight < most || (weight === most && best !== null && node > best)) continue;
    [best, most] = [node, weight];
  }
  return best;
}

/**
 * Blocks in the order in which a node fetches them: those first that are its own whoever else comes. So several that begin at once hardly
 * ever begin with the same, before they know of each other.
 */
export function inOwnOrder<Block extends { readonly index: number }>(
  blocks: readonly Block[],
  node: NodeId,
  contentId: string,
): readonly Block[] {
  return blocks
    .map((block) => ({ block, weight: weightOf(node, contentId, block.index) }))
    .sort((a, b) => b.weight - a.weight || a.block.index - b.block.index)
    .map(({ block }) => block);
}
