import type { Advert, ClusterdError, ControlAnswers, ControlRequest, NodeId, NodeState, PendingView } from "@clusterd/wire";
import type { ClusterCredentials } from "./cluster/credentials.ts";
import type { Identity } from "./identity.ts";

/** Where this node stands with the cluster it wants to be in. */
export type Standing =
  | { readonly kind: "looking" }
  /** Asked `member`; a person approves by the code both screens show. */
  | { readonly kind: "pending"; readonly code: string; readonly member: NodeId }
  | { readonly kind: "member"; readonly cluster: ClusterCredentials };

/** Why this node was turned away. */
export type RefusedWhy = "token-outdated" | "token-wrong" | "protocol" | "cluster-name" | "removed" | "full" | "busy";

export type MeshEvent =
  | { readonly type: "standing"; readonly standing: Standing }
  | { readonly type: "advert"; readonly advert: Advert }
  | { readonly type: "connected"; readonly node: NodeId }
  | { readonly type: "disconnected"; readonly node: NodeId }
  | { readonly type: "node-state"; readonly node: NodeId; readonly state: NodeState }
  /** Who asks this very node. */
  | { readonly type: "pending"; readonly pending: readonly PendingView[] }
  /** A measured round trip. */
  | { readonly type: "link"; readonly to: NodeId; readonly rttMs: number }
  /** This node was turned away. */
  | { readonly type: "refused"; readonly why: RefusedWhy; readonly message: string }
  /** This node turned a machine away that had proved to be of the cluster. */
  | { readonly type: "turned-away"; readonly node: NodeId; readonly why: RefusedWhy; readonly message: string }
  /** Somebody connected who is not of the cluster; told once per source. */
  | { readonly type: "stranger"; readonly address: string; readonly message: string }
  /** Still looking, and for whom; told once. */
  | { readonly type: "waiting"; readonly message: string }
  /** Something of this node's own failed that the mesh goes on without. */
  | { readonly type: "trouble"; readonly error: ClusterdError };

export interface MeshConfig {
  readonly identity: Identity;
  /** This node's name, for people. */
  readonly name: string;
  readonly version: string;
  /** Nodes of another RPC protocol are refused. */
  readonly rpcProtocol: string;
  /** Grows with every start: orders this node's adverts over restarts. */
  readonly incarnation: number;
  /** IP addresses to listen at; `0.0.0.0` for all. */
  readonly listen: readonly string[];
  /** TCP port, 0 for any free one. */
  readonly port: number;
  readonly mdns: boolean;
  /** Multiaddrs of nodes to find besides. */
  readonly peers: readonly string[];
  readonly credentials: ClusterCredentials | null;
  readonly token: string | null;
  /** Only a cluster of that name is joined; the name of one founded. */
  readonly clusterName: string | null;
  /** Whether a cluster founded here admits whoever asks. */
  readonly open: boolean;
  saveCredentials(credentials: ClusterCredentials | null): Promise<void>;
  on(event: MeshEvent): void;
  /** A member asks something of this node. What is thrown reaches the member with its code and words. */
  onRequest(from: NodeId, request: ControlRequest, signal: AbortSignal): Promise<ControlAnswers[keyof ControlAnswers]>;
  readonly signal?: AbortSignal;
}

/** What this node tells of itself; the mesh adds the rest. */
export type AdvertBody = Omit<Advert, "node" | "incarnation" | "sequence" | "addresses">;

export interface Mesh extends AsyncDisposable {
  readonly self: NodeId;
  readonly port: number;
  /** Multiaddrs at which this node takes connections, with its id. */
  addresses(): string[];
  standing(): Standing;
  /** Members connected now. */
  members(): NodeId[];
  /** Tells every member, at once where it differs from what was told last. */
  publish(advert: AdvertBody): void;
  /** Failures of the other side come back as ClusterdError with its code. */
  request<Type extends ControlRequest["type"]>(
    to: NodeId,
    request: Extract<ControlRequest, { type: Type }>,
    options: { readonly signal: AbortSignal },
  ): Promise<ControlAnswers[Type]>;
  pending(): readonly PendingView[];
  /** Lets in the machine that asked this node under that code. Throws `not_found`. */
  approve(code: string): Promise<PendingView>;
  /** Takes a node out of the cluster and changes the secret. Throws `not_found`. */
  remove(node: NodeId): Promise<void>;
  /** Changes the secret: tokens given out so far admit no more. */
  rotate(): Promise<void>;
  /** Says goodbye and forgets the cluster. */
  leave(): Promise<void>;
  /** The IP address at which a member is connected right now. */
  addressOf(node: NodeId): string | null;
}
