import type { DeploymentPhase, NodeId, NodeState } from "@clusterd/wire";

export interface DaemonOptions {
  readonly home: string;
  readonly name?: string;
  /** A founder's name for its cluster; a joiner ignores clusters of other names. */
  readonly cluster?: string;
  readonly token?: string;
  readonly open: boolean;
  /** Addresses for the mesh and the tunnels; empty: all. */
  readonly listen: readonly string[];
  readonly apiPort: number;
  readonly apiHost: string;
  readonly meshPort: number;
  readonly peers: readonly string[];
  readonly mdns: boolean;
  /** Interfaces or address ranges over which tunnels may go without encryption, where the other end declares them as well. */
  readonly trustedLinks: readonly string[];
  readonly memoryBytes?: number;
  readonly bandwidthBytesPerSecond?: number;
  /** What pulled models and parts of models may take of the disk; null: all of it; absent: as it was said last. */
  readonly diskBytes?: number | null;
  /** What may be fetched and served of models in a second, over all together; absent: without a limit. */
  readonly fetchBytesPerSecond?: number;
  readonly serveBytesPerSecond?: number;
  /** A model to deploy once this node is a member and nothing else is deployed. */
  readonly load?: string;
  /** Whether requests to this node load the models they name, where a node has them. */
  readonly loadOnRequest: boolean;
  /** Idleness after which what they loaded goes, in seconds; null: never. */
  readonly keepAliveSeconds: number | null;
  /** A file that gets a line for each request, without any of its content. */
  readonly accessLog?: string;
  /** A file of upstreams in the place of the home's. */
  readonly upstreamFile?: string;
  /** Bytes of answers at temperature 0 to keep in memory; absent: none. */
  readonly cacheBytes?: number;
  onEvent(event: DaemonEvent): void;
  readonly signal: AbortSignal;
}

/** What a daemon tells whoever started it, in plain JSON. */
export type DaemonEvent =
  | { readonly event: "engine"; readonly step: string; readonly fraction: number | null }
  | { readonly event: "looking" }
  | { readonly event: "founded"; readonly cluster: string; readonly name: string }
  | { readonly event: "pending"; readonly code: string; readonly member: NodeId }
  | { readonly event: "admitted"; readonly cluster: string; readonly name: string; readonly by: NodeId }
  | { readonly event: "refused"; readonly code: string; readonly message: string }
  | {
      readonly event: "ready";
      readonly node: NodeId;
      readonly name: string;
      readonly api: string;
      readonly mesh: readonly string[];
      readonly pid: number;
    }
  | { readonly event: "node"; readonly id: NodeId; readonly name: string; readonly state: NodeState }
  | {
      readonly event: "deployment";
      readonly model: string;
      readonly state: DeploymentPhase;
      readonly reason: string | null;
      readonly progress: number;
    }
  | { readonly event: "log"; readonly level: "info" | "warn"; readonly message: string }
  /** Given back to the disk to make room. */
  | { readonly event: "evicted"; readonly model: string; readonly what: string; readonly bytes: number }
  | { readonly event: "stopped" };

export interface RunningDaemon extends AsyncDisposable {
  /** Settles when the daemon has ended; rejects with the reason where it ended by itself. */
  readonly closed: Promise<void>;
}
