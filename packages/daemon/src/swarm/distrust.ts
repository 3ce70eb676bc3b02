import type { ContentId, NodeId } from "@clusterd/wire";

const MODELS_MAX = 256;

/** Who has sent wrong bytes of which model: not asked for it again until this daemon's next start. */
export interface Distrust {
  has(contentId: ContentId, node: NodeId): boolean;
  add(contentId: ContentId, node: NodeId): void;
}

export function createDistrust(): Distrust {
  const liars = new Map<ContentId, Set<NodeId>>();
  return {
    has: (contentId, node) => liars.get(contentId)?.has(node) === true,
    add(contentId, node) {
      const [oldest] = liars.keys();
      if (!liars.has(contentId) && liars.size >= MODELS_MAX && oldest !== undefined) liars.delete(oldest);
      liars.set(contentId, (liars.get(contentId) ?? new Set()).add(node));
    },
  };
}
