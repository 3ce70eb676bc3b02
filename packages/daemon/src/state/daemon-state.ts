import type {
  Advert,
  AdvertModel,
  ContentId,
  DataPlaneAddress,
  DeploymentId,
  DeploymentPhase,
  DeployWish,
  DeviceInfo,
  DiskView,
  EngineSummary,
  ErrorCode,
  HeldPart,
  HubPlace,
  LinkView,
  ModelId,
  ModelProfile,
  NodeId,
  NodeState,
  PendingView,
  Placement,
  ProposalView,
  PullView,
  QueueView,
  SpeculationWish,
  StageTiming,
  TransferLimitsView,
} from "@clusterd/wire";

/** Where this node stands: looking for a cluster, waiting for approval, or a member of one. */
export type StandingState =
  | { readonly kind: "looking" }
  | { readonly kind: "pending"; readonly code: string }
  | { readonly kind: "member"; readonly id: string; readonly name: string; readonly open: boolean };

/** What this node says of itself. */
export interface OwnFacts {
  readonly name: string;
  readonly version: string;
  readonly device: DeviceInfo;
  readonly engine: EngineSummary;
  readonly links: readonly LinkView[];
  readonly models: readonly AdvertModel[];
  readonly pending: readonly PendingView[];
  readonly addresses: readonly string[];
  readonly dataPlane: DataPlaneAddress;
  readonly draining: boolean;
  /** Digest of the cluster's settings as this node knows them. */
  readonly settings?: string;
  /** Models that are being fetched. */
  readonly pulls?: readonly PullView[];
  /** Absent: models are fetched and served as fast as they come. */
  readonly transferLimits?: TransferLimitsView;
  /** Models of which parts are here. */
  readonly held?: readonly HeldPart[];
  /** The disk of the models; absent: not looked at yet. */
  readonly disk?: DiskView | null;
}

export interface OtherNode {
  readonly advert: Advert;
  readonly state: NodeState;
}

/** Why a deployment is not running. */
export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
}

/** What was asked for when a deployment was made, kept so that it can be planned again. Nodes by id. */
export interface PlanWish {
  readonly objective: Placement["objective"];
  readonly head: NodeId | null;
  readonly pins: readonly { readonly node: NodeId; readonly firstLayer: number; readonly lastLayer: number }[];
  readonly without: readonly NodeId[];
  /** Null: chosen with the placement. */
  readonly context: number | null;
  /** As in `PlanRequest`. */
  readonly contextTokensRead?: number;
  readonly slots: number;
  readonly kv: Placement["kv"];
  readonly flashAttention: boolean;
  readonly speculation: SpeculationWish;
  /** The draft model, where one is asked for. */
  readonly draft: ModelProfile | null;
}

/** How a deployment's speculation does: see speculation-policy.ts. */
export interface SpeculationRecord {
  readonly acceptance: number | null;
  readonly active: boolean;
}

/** What a deployment's speed is beside its prediction. Null: not known yet. */
export interface MeasuredRecord {
  /** Steps of the model per second of one stream: tokens that were guessed rightly not counted. */
  readonly stepsPerSecond: number | null;
  /** Prompt tokens per second. */
  readonly promptTokensPerSecond: number | null;
}

/** How far a stage's node is with fetching: see fetch-rate.ts. */
export interface FetchRecord {
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly bytesPerSecond: number | null;
  /** When the rate was last looked at, and with how much: monotonic milliseconds, bytes. */
  readonly since: { readonly atMs: number; readonly doneBytes: number };
}

/** When a deployment last worked: see on-demand/idle-policy.ts. */
export interface UseRecord {
  /** Since when it is idle, in monotonic milliseconds; null: it works, or is not up. */
  readonly idleSinceMs: number | null;
  /** When it last came up, or began or ended work, in milliseconds since 1970. */
  readonly usedAt: number;
  /** Whether it has worked for anyone since it came up. */
  readonly served: boolean;
}

/** A deployment this node heads. */
export interface HeadedDeployment {
  readonly id: DeploymentId;
  readonly model: ModelId;
  readonly contentId: ContentId;
  /** What it is planned by after a loss: as deployed, on this head. */
  readonly wish: PlanWish;
  /** What a person asked for, which a better placement must keep to. */
  readonly asked: DeployWish;
  /** Stages and head named by node ids. */
  readonly placement: Placement;
  readonly wanted: boolean;
  readonly phase: DeploymentPhase;
  readonly failure: Failure | null;
  readonly epoch: number;
  /** Loaded share of each stage, 0 to 1. */
  readonly progress: readonly number[];
  /** Of the placement's stages, in order: how far those that fetch are. */
  readonly fetches: readonly (FetchRecord | null)[];
  readonly measuredTokensPerSecond: number | null;
  readonly measured: MeasuredRecord;
  readonly proposal: ProposalView | null;
  readonly use: UseRecord;
  readonly speculation: SpeculationRecord;
  readonly queue: QueueView;
  /** Of the placement's stages, in order. */
  readonly timings: readonly (StageTiming | null)[];
  /** Monotonic milliseconds of its latest crashes, oldest first. */
  readonly crashesAtMs: readonly number[];
  /** Not started again before this monotonic time. */
  readonly retryAtMs: number;
}

/** All this daemon knows. Changed by `apply` alone. */
export interface DaemonState {
  readonly self: NodeId;
  readonly standing: StandingState;
  readonly own: OwnFacts;
  readonly others: ReadonlyMap<NodeId, OtherNode>;
  readonly deployments: ReadonlyMap<DeploymentId, HeadedDeployment>;
}

export type StateEvent =
  | { readonly type: "standing"; readonly standing: StandingState }
  | { readonly type: "own"; readonly facts: Partial<OwnFacts> }
  | { readonly type: "link"; readonly to: NodeId; readonly rttMs: number }
  | { readonly type: "link-measured"; readonly link: LinkView }
  | { readonly type: "advert"; readonly advert: Advert }
  | { readonly type: "node-state"; readonly node: NodeId; readonly state: NodeState }
  | { readonly type: "removed"; readonly node: NodeId }
  | { readonly type: "deployment-wanted"; readonly deployment: HeadedDeployment }
  | { readonly type: "deployment-unwanted"; readonly id: DeploymentId }
  | { readonly type: "deployment-starting"; readonly id: DeploymentId }
  | { readonly type: "deployment-located"; readonly id: DeploymentId; readonly hub: HubPlace }
  | { readonly type: "deployment-fetching"; readonly id: DeploymentId; readonly over: boolean }
  | { readonly type: "deployment-progress"; readonly id: DeploymentId; readonly stage: number; readonly progress: number }
  | {
      readonly type: "deployment-fetched";
      readonly id: DeploymentId;
      readonly stage: number;
      readonly doneBytes: number;
      readonly totalBytes: number;
      readonly atMs: number;
    }
  | { readonly type: "deployment-ready"; readonly id: DeploymentId; readonly tokensPerSecond: number | null }
  | { readonly type: "deployment-measured"; readonly id: DeploymentId; readonly tokensPerSecond: number }
  | { readonly type: "deployment-record"; readonly id: DeploymentId; readonly measured: Partial<MeasuredRecord> }
  | { readonly type: "deployment-proposal"; readonly id: DeploymentId; readonly proposal: ProposalView | null }
  | { readonly type: "deployment-used"; readonly id: DeploymentId; readonly use: UseRecord }
  | {
      readonly type: "deployment-kept";
      readonly id: DeploymentId;
      readonly onDemand: { readonly keepAliveSeconds: number | null } | null;
    }
  | { readonly type: "deployment-timed"; readonly id: DeploymentId; readonly timings: readonly (StageTiming | null)[] }
  | { readonly type: "deployment-speculation"; readonly id: DeploymentId; readonly speculation: SpeculationRecord }
  | { readonly type: "deployment-queue"; readonly id: DeploymentId; readonly queue: QueueView }
  | { readonly type: "deployment-broken"; readonly id: DeploymentId; readonly failure: Failure; readonly atMs: number }
  | { readonly type: "deployment-replanned"; readonly id: DeploymentId; readonly placement: Placement }
  | { readonly type: "deployment-failed"; readonly id: DeploymentId; readonly failure: Failure }
  | { readonly type: "deployment-waiting"; readonly id: DeploymentId; readonly untilMs: number }
  | { readonly type: "deployment-gone"; readonly id: DeploymentId };
