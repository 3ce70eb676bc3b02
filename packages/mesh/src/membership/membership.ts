import { cleanName, ClusterdError, NAME_LENGTH_MAX, type NodeId } from "@clusterd/wire";
import { foundCluster, mergeCredentials, sameCredentials, withMember, type ClusterCredentials } from "../credentials.ts";
import type { MeshConfig, Standing } from "../mesh-config.ts";

export interface MembershipConfig extends Pick<MeshConfig, "clusterName" | "credentials" | "on" | "open" | "saveCredentials"> {
  readonly self: NodeId;
  /** Who was a stranger until now. */
  onMember(member: NodeId): void;
  /** What is known of the cluster has changed, by word of `by`; null: by this node itself. */
  onNews(credentials: ClusterCredentials, by: NodeId | null): void;
  /** This node is of no cluster any more. */
  onForgotten(): void;
}

/** Of which cluster this node is, and what it knows of who else is. */
export interface Membership {
  readonly credentials: ClusterCredentials | null;
  readonly standing: Standing;
  stand(next: Standing, by: NodeId | null): void;
  /** Takes on what a member says of the cluster, together with what is known; forgets all where this node was removed. */
  adopt(next: ClusterCredentials, by: NodeId | null): Promise<void>;
  forget(why: "removed" | null, message: string): Promise<void>;
  found(): Promise<void>;
  /** Throws `not_admitted`. */
  mine(): ClusterCredentials;
}

export function createMembership(config: MembershipConfig): Membership {
  const { self, on } = config;
  let credentials = config.credentials;
  let standing: Standing = credentials === null ? { kind: "looking" } : { kind: "member", cluster: credentials };

  const membership: Membership = {
    get credentials() {
      return credentials;
    },
    get standing() {
      return standing;
    },
    stand(next, by) {
      standing = next;
      on({ type: "standing", standing, by });
    },
    async adopt(next, by) {
      if (next.removed.includes(self)) return membership.forget("removed", "This node was removed from the cluster.");
      const before = credentials;
      const merged = before === null ? withMember(next, self) : mergeCredentials(before, next);
      if (before !== null && sameCredentials(before, merged)) return;
      for (const member of merged.members) if (before?.members.includes(member) !== true) config.onMember(member);
      credentials = merged;
      await config.saveCredentials(merged);
      const stands: Standing = { kind: "member", cluster: merged };
      if (before === null) membership.stand(stands, by);
      else standing = stands;
      config.onNews(merged, by);
      for (const removed of merged.removed) on({ type: "removed", node: removed });
    },
    async forget(why, message) {
      credentials = null;
      await config.saveCredentials(null);
      config.onForgotten();
      if (why !== null) on({ type: "refused", why, message });
      membership.stand({ kind: "looking" }, null);
    },
    found() {
      const name = cleanName(config.clusterName ?? "home", NAME_LENGTH_MAX);
      return membership.adopt(foundCluster(name, config.open, self), null);
    },
    mine() {
      if (credentials === null) throw new ClusterdError("not_admitted", "This node is not in a cluster yet.");
      return credentials;
    },
  };
  return membership;
}
