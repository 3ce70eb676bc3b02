import { ClusterdError, PENDING_MAX, type NodeId, type PendingView } from "@clusterd/wire";
import type { Channel } from "./channel.ts";
import type { ClusterCredentials } from "./credentials.ts";

/** Those who asked this node to be let in and wait for a person. */
export interface WaitingRoom {
  /** False when the room is full. The entry goes when its stream does. */
  enter(entry: PendingView, channel: Channel): boolean;
  /** Hands the credentials to the one who shows this code. Throws `not_found`. */
  find(code: string): { readonly entry: PendingView; admit(credentials: ClusterCredentials): void };
  readonly entries: readonly PendingView[];
}

export function createWaitingRoom(onChange: (entries: readonly PendingView[]) => void): WaitingRoom {
  const waiting = new Map<NodeId, { entry: PendingView; channel: Channel }>();
  const entries = (): readonly PendingView[] => [...waiting.values()].map(({ entry }) => entry);
  return {
    enter(entry, channel) {
      const known = waiting.get(entry.node);
      if (known === undefined && waiting.size >= PENDING_MAX) return false;
      // One place per node: a new question replaces the old one.
      known?.channel.close();
      waiting.set(entry.node, { entry, channel });
      void channel.closed.then(() => {
        if (waiting.get(entry.node)?.channel !== channel) return;
        waiting.delete(entry.node);
        onChange(entries());
      });
      onChange(entries());
      return true;
    },
    find(code) {
      const digits = code.replace(/\D/g, "");
      const found = [...waiting.values()].find(({ entry }) => entry.code.replace("-", "") === digits);
      if (found === undefined)
        throw new ClusterdError("not_found", `Nobody waits with the code ${JSON.stringify(code)}.`, {
          next: "See who waits with: clusterd pending",
        });
      return {
        entry: found.entry,
        admit(credentials) {
          found.channel.send({ approved: credentials });
        },
      };
    },
    get entries() {
      return entries();
    },
  };
}
