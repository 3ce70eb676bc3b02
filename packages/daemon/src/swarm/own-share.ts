import type { Block } from "@clusterd/catalog";
import type { ContentId, NodeId } from "@clusterd/wire";
import { sharerOf, weightOf } from "./block-share.ts";
import type { Fetcher } from "./swarm-members.ts";

export interface OwnShareConfig {
  readonly self: NodeId;
  readonly contentId: ContentId;
  /** The other nodes that fetch of it, as they are known now. */
  fetchers(): readonly Fetcher[];
}

/** Whether a block is this node's to take from a source that all share: weights are reckoned once for each block and node. */
export function createOwnShare({ self, contentId, fetchers }: OwnShareConfig): (block: Block) => boolean {
  const weights = new Map<NodeId, Map<number, number>>();
  const known = (node: NodeId, _: string, block: number): number => {
    const own = weights.get(node) ?? new Map<number, number>();
    weights.set(node, own);
    const weight = own.get(block) ?? weightOf(node, contentId, block);
    own.set(block, weight);
    return weight;
  };
  return (block) => {
    const others = fetchers().filter((fetcher) => fetcher.wants(block));
    return others.length === 0 || sharerOf([self, ...others.map(({ node }) => node)], contentId, block.index, known) === self;
  };
}
