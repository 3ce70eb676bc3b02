import type { Advert, ControlAnswers, ControlRequest, NodeId, NodeState, PendingView } from "@clusterd/wire";
import type { ClusterCredentials } from "./credentials.ts";
import type { Identity } from "./identity.ts";

/** Where this node stands. */
export type Standing =
  | { readonly kind: "looking" }
  | { readonly kind: "pending"; readonly code: string; readonly member: NodeId }
  | { readonly kind: "member"; readonly cluster: ClusterCredentials };

export type RefusalReason = "token-outdated" | "token-wrong" | "protocol" | "cluster-name" | "removed" | "full" | "not-member";

export type MeshEvent =
  | { readonly type: "standing"; readonly standing: Standing; readonly by: NodeId | null }
  | { readonly type: "advert"; readonly advert: Advert }
  | { readonly type: "connected"; readonly node: NodeId }
  | { readonly type: "disconnected"; readonly node: NodeId }
  | { readonly type: "node-state"; readonly node: NodeId; readonly state: NodeState }
  | { readonly type: "removed"; readonly node: NodeId }
  | { readonly type: "pending"; readonly pending: readonly PendingView[] }
  | { readonly type: "link"; readonly to: NodeId; readonly rttMs: number }
  | { readonly type: "refused"; readonly why: RefusalReason; readonly message: string }
  | { readonly type: "trouble"; readonly message: string }
  | { readonly type: "stranger"; readonly address: string; readonly message: string };

export interface MeshConfig {
  readonly identity: Identity;
  readonly name: string;
  readonly version: string;
  readonly rpcProtocol: string;
  /** Addresses to listen on, e.g. `0.0.0.0`. */
  readonly listen: readonly string[];
  /** 0: any. */
  readonly port: number;
  readonly mdns: boolean;
  /** Multiaddrs of peers to reach besides those that mDNS finds. */
  readonly peers: readonly string[];
  readonly credentials: ClusterCredentials | null;
  readonly token: string | null;
  /** For a founder the name of its cluster; a joiner ignores clusters of other names. */
  readonly clusterName: string | null;
  readonly open: boolean;
  /** Of this start of the daemon: greater than any before. */
  readonly incarnation: number;
  saveCredentials(credentials: ClusterCredentials | null): Promise<void>;
  on(event: MeshEvent): void;
  onRequest(from: NodeId, request: ControlRequest, signal: AbortSignal): Promise<ControlAnswers[ControlRequest["type"]]>;
}

/** What a node publishes; the mesh adds who and when. */
export type AdvertFacts = Omit<Advert, "node" | "incarnation" | "sequence" | "addresses">;

/** The members this node is connected to, and the way in for those who are not members yet. */
export interface Mesh extends AsyncDisposable {
  readonly self: NodeId;
  readonly port: number;
  /** Multiaddrs under which this node listens. */
  addresses(): readonly string[];
  standing(): Standing;
  /** Members that are connected now. */
  members(): readonly NodeId[];
  publish(facts: AdvertFacts): void;
  /** Asks another member; its refusal comes back as a ClusterdError with its code. */
  request<Type extends ControlRequest["type"]>(
    to: NodeId,
    request: Extract<ControlRequest, { type: Type }>,
    options: { readonly signal: AbortSignal },
  ): Promise<ControlAnswers[Type]>;
  pending(): readonly PendingView[];
  /** Lets in the machine that shows this code, if it asked this node. Throws `not_found`. */
  approve(code: string): Promise<PendingView>;
  remove(node: NodeId): Promise<void>;
  rotate(): Promise<void>;
  /** Says goodbye and forgets the cluster. */
  leave(): Promise<void>;
  /** The IP address at which a member is connected, or null. */
  addressOf(node: NodeId): string | null;
}
