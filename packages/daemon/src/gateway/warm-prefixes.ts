import type { DeploymentId } from "@clusterd/wire";

/** Conversations remembered: one takes some 200 bytes. */
const CONVERSATIONS_MAX = 10_000;

/** Which replica has answered a conversation last, as far as requests came through this node: its cache has the beginning. */
export interface WarmPrefixes {
  of(conversation: string | null): DeploymentId | null;
  note(conversation: string | null, deployment: DeploymentId): void;
}

export function createWarmPrefixes(conversationsMax: number = CONVERSATIONS_MAX): WarmPrefixes {
  /** The least recently used first. */
  const known = new Map<string, DeploymentId>();
  return {
    of: (conversation) => (conversation === null ? null : (known.get(conversation) ?? null)),
    note(conversation, deployment) {
      if (conversation === null) return;
      known.delete(conversation);
      known.set(conversation, deployment);
      const [oldest] = known.keys();
      if (known.size > conversationsMax && oldest !== undefined) known.delete(oldest);
    },
  };
}
