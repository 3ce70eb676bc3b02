import type { Block } from "@clusterd/catalog";
import type { ContentId, NodeId } from "@clusterd/wire";
import { sharerOf } from "./block-share.ts";
import type { Fetcher } from "./swarm-members.ts";

export interface OwnShareConfig {
  readonly self: NodeId;
  readonly contentId: ContentId;
  /** The other nodes that fetch of it, as they are known now: the same list while nothing has changed. */
  fetchers(): readonly Fetcher[];
}

/** Whether a block is this node's to take from a source that all share; asked over and over, reckoned once while the fetchers stay the same. */
export function createOwnShare({ self, contentId, fetchers }: OwnShareConfig): (block: Block) => boolean {
  let known: readonly Fetcher[] = [];
  let own = new Map<number, boolean>();
  return (block) => {
    const now = fetchers();
    if (now !== known) [known, own] = [now, new Map()];
    const before = own.get(block.index);
    if (before !== undefined) return before;
    const others = now.filter((fetcher) => fetcher.wants(block)).map(({ node }) => node);
    const isOurs = others.length === 0 || sharerOf([self, ...others], contentId, block.index) === self;
    own.set(block.index, isOurs);
    return isOurs;
  };
}
