import type { DeploymentView, LinkView, PendingView } from "./cluster-state.ts";
import type { DeviceInfo } from "./device-info.ts";
import type { DiskView } from "./disk-view.ts";
import type { HeldPart } from "./held-part.ts";
import type { InfillTokens } from "./model-profile.ts";
import type { ContentId, DeploymentId, ModelId, NodeId } from "./ids.ts";

/** The engine a node runs. Nodes of different `rpcProtocol` cannot work together. */
export interface EngineSummary {
  readonly fingerprint: string;
  /** `major.minor.patch` of llama.cpp's RPC protocol. */
  readonly rpcProtocol: string;
  readonly llamaCpp: string;
}

export interface AdvertModel {
  readonly id: ModelId;
  readonly contentId: ContentId;
  readonly name: string;
  readonly architecture: string;
  readonly quantisation: string;
  readonly fileBytes: number;
  readonly layerCount: number;
  readonly contextMax: number;
  /** Where its file came from, e.g. `pulled` or `ollama`. */
  readonly source?: string;
  /** On the node's own disk, of its first part: what a node knows of itself, and tells nobody. */
  readonly path?: string;
  /** What its files take on the node's disk; absent: not told. */
  readonly diskBytes?: number | null;
  /** Whether it makes embeddings instead of text. */
  readonly embeddings?: boolean;
  /** By which it fills a gap in a text; null or absent: it cannot. */
  readonly infill?: InfillTokens | null;
  readonly aliases: readonly string[];
}

/** A deployment as its head tells the members: what everyone may see, and what reaching it takes. */
export interface AdvertDeployment {
  readonly id: DeploymentId;
  readonly contentId: ContentId;
  readonly view: DeploymentView;
}

/** Where a node takes tunnels: TCP port, and SHA-256 (hex) of its certificate. */
export interface DataPlaneAddress {
  readonly port: number;
  readonly fingerprint: string;
}

/** All that one node says of itself. Only its own author may send it; the pair (incarnation, sequence) orders adverts. */
export interface Advert {
  readonly node: NodeId;
  readonly name: string;
  readonly version: string;
  /** Grows with every start of the daemon, kept in its home. */
  readonly incarnation: number;
  /** Grows with every advert of one incarnation. */
  readonly sequence: number;
  readonly draining: boolean;
  readonly device: DeviceInfo;
  readonly links: readonly LinkView[];
  readonly engine: EngineSummary;
  readonly models: readonly AdvertModel[];
  readonly deployments: readonly AdvertDeployment[];
  readonly pending: readonly PendingView[];
  /** Multiaddrs at which the node takes mesh connections. */
  readonly addresses: readonly string[];
  readonly dataPlane: DataPlaneAddress;
  /** Digest of the cluster's settings as the node knows them; older nodes know of none. */
  readonly settings?: string | null;
  /** Models of which it has parts; older nodes tell of none. */
  readonly held: readonly HeldPart[];
  /** The disk on which its models lie; null or absent: not told. */
  readonly disk?: DiskView | null;
}

/** Whether advert `a` is newer than `b` of the same node. */
export function isNewer(a: Pick<Advert, "incarnation" | "sequence">, b: Pick<Advert, "incarnation" | "sequence">): boolean {
  return a.incarnation !== b.incarnation ? a.incarnation > b.incarnation : a.sequence > b.sequence;
}
