import type { DeviceInfo } from "./device-info.ts";
import type { DiskView } from "./disk-view.ts";
import type { HeldPart } from "./held-part.ts";
import type { PullView } from "./pull-view.ts";
import type { ModelId, NodeId } from "./ids.ts";
import type { SpeculationView } from "./speculation.ts";

export type NodeState = "alive" | "suspect" | "left";

/** What one node measured of its way to another. */
export interface LinkView {
  readonly to: NodeId;
  /** Median round trip: of a hidden state's size over the tunnels' own path, before the first such measurement of heartbeats. */
  readonly rttMs: number;
  /** The shortest one; null or absent before the first measurement. */
  readonly rttMsMin?: number | null;
  /** Towards `to`, by its own clock; 0: not measured yet. */
  readonly bytesPerSecond: number;
  /** When, in milliseconds since 1970 by the measuring node's clock; null or absent: not yet. */
  readonly measuredAt?: number | null;
}

export interface NodeView {
  readonly id: NodeId;
  readonly name: string;
  readonly state: NodeState;
  readonly version: string;
  readonly device: DeviceInfo;
  readonly links: readonly LinkView[];
  readonly draining: boolean;
  readonly engine: { readonly fingerprint: string; readonly rpcProtocol: string; readonly llamaCpp: string };
  /** The disk on which its models lie; null or absent: it does not tell. */
  readonly disk?: DiskView | null;
  /** The models of which it has parts; absent: none. */
  readonly held?: readonly HeldPart[];
}

export type DeploymentPhase = "planning" | "fetching" | "loading" | "ready" | "recovering" | "draining" | "failed";

/** Half of the steps were below the one, 95 of 100 below the other. */
export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
}

/**
 * What the last few hundred decode steps of a remote stage took, told from the frames between head and worker. A step is one token of
 * each running stream, and what was guessed ahead of it.
 */
export interface StageTiming {
  /** Steps since the pipeline came up. */
  readonly steps: number;
  /** Tokens that a step has on average: one for each running stream, and those guessed ahead. */
  readonly tokensPerStep: number;
  /** Tokens in the cache that a step reads, on average; absent where it could not be told. */
  readonly cacheTokens?: number;
  /** The worker's engine at work, by its own node's clock. */
  readonly computeMs: Percentiles;
  /** From the graph's leaving the head to its result's arrival, less the work: links, encryption, waiting for either. */
  readonly wireMs: Percentiles;
  /** Between a result and the next graph: the other stages' and the head's turn. */
  readonly idleMs: Percentiles;
  /** Towards the worker and back, per token. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly tokensPerSecond: number;
  /** False only over a link that both ends declare private. */
  readonly encrypted: boolean;
}

/** One stage of a running pipeline. Bytes, milliseconds; `progress` from 0 to 1. `null`: not measured yet. */
export interface StageView {
  readonly node: NodeId;
  readonly firstLayer: number;
  readonly lastLayer: number;
  readonly weightBytes: number;
  /** Weights read for one token: of a mixture of experts only a part. */
  readonly activeBytes: number;
  readonly kvBytes: number;
  readonly bufferBytes: number;
  readonly predictedMsPerToken: number;
  /** As predicted: work and wire. Of the head's own layers: what remains of a token's time, the head's other work included. */
  readonly measuredMsPerToken: number | null;
  /** Null for layers on the head, and before the first step. */
  readonly timing: StageTiming | null;
  readonly progress: number;
  /** While its node fetches what it lacks of these layers (and the head the embeddings and the output); null or absent: it does not. */
  readonly fetch?: StageFetchView | null;
}

/** How far a node is with fetching its part. */
export interface StageFetchView {
  /** What was there before included. */
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Of the last seconds; null: not known yet. */
  readonly bytesPerSecond: number | null;
  /** At that rate; null: not known. */
  readonly secondsLeft: number | null;
}

/** What a plan foretold of a deployment, beside what came true. Milliseconds, tokens per second. `null`: not known yet. */
export interface PredictionView {
  readonly low: number;
  readonly high: number;
  readonly promptTokens: number;
  readonly timeToFirstTokenMs: number | null;
  /** Of as many prompt tokens, at the speed at which prompts were really worked off. */
  readonly measuredTimeToFirstTokenMs: number | null;
  /** Measured ÷ predicted tokens per second − 1, what was guessed ahead not counted. */
  readonly error: number | null;
}

/** Whether a deployment moves to a better placement by itself. */
export type ReplanPolicy = "ask" | "auto";

/** A placement for now that is worth moving a running deployment to. Milliseconds are predictions with the figures of now. */
export interface ProposalView {
  readonly head: NodeId;
  readonly stages: readonly { readonly node: NodeId; readonly firstLayer: number; readonly lastLayer: number }[];
  /** Per token as deployed, and as proposed; with the objective `throughput` of the slowest stage. */
  readonly msDeployed: number;
  readonly msProposed: number;
  /** Speed won, as a share of today's. */
  readonly gain: number;
}

/** The requests at a deployment's head: those that have a turn with its engine, those that wait for one, and how many may wait. */
export interface QueueView {
  readonly active: number;
  readonly waiting: number;
  readonly limit: number;
}

/** How long a deployment that a request loaded stays. */
export interface OnDemandView {
  /** Of idleness after which it is unloaded; null: it stays until its room is needed. */
  readonly keepAliveSeconds: number | null;
  /** Up, and at nobody's work. */
  readonly idle: boolean;
  /** When it last came up, or began or ended work: milliseconds since 1970 by the head's clock. */
  readonly usedAt: number;
  /** When it goes unless it is used, by the same clock; null: while it is not idle, and where it stays. */
  readonly until: number | null;
}

export interface DeploymentView {
  readonly model: ModelId;
  readonly aliases: readonly string[];
  readonly state: DeploymentPhase;
  /** Why it is in this state, where that needs saying. */
  readonly reason: string | null;
  /** Grows with every start of its head: of two, the higher is the live one. */
  readonly epoch: number;
  readonly head: NodeId;
  /** Tokens per slot. */
  readonly context: number;
  readonly slots: number;
  /** As it was within the last second or so. */
  readonly queue: QueueView;
  readonly speculation: SpeculationView;
  readonly layerCount: number;
  readonly stages: readonly StageView[];
  readonly predictedTokensPerSecond: number;
  readonly measuredTokensPerSecond: number | null;
  readonly prediction: PredictionView;
  readonly replan: ReplanPolicy;
  /** Null while the deployed placement is about as good as any. */
  readonly proposal: ProposalView | null;
  /** Null or absent: a person loaded it, and it stays until a person unloads it. */
  readonly onDemand?: OnDemandView | null;
}

/** A machine that asks to be let in; the code is shown on both screens. */
export interface PendingView {
  readonly code: string;
  readonly node: NodeId;
  readonly name: string;
  readonly address: string;
  readonly version: string;
  /** The member it asked. */
  readonly askedNode: NodeId;
}

/** A model that some node of the cluster has. */
export interface ModelView {
  readonly id: ModelId;
  readonly name: string;
  readonly architecture: string;
  readonly quantisation: string;
  readonly fileBytes: number;
  readonly layerCount: number;
  readonly contextMax: number;
  /** Nodes that have the whole of it. */
  readonly nodes: readonly NodeId[];
  /** Where each node has it from, in the order of `nodes`, e.g. `pulled` or `ollama`; empty where it does not say. */
  readonly sources?: readonly string[];
  /** What it takes on each node's disk, in the order of `nodes`; null where that node does not say. */
  readonly diskBytes?: readonly (number | null)[];
  /** On the disk of the node that answers, of its first part; absent: it does not have it. */
  readonly path?: string;
  readonly aliases: readonly string[];
}

/** A service outside the cluster that this node asks where the cluster cannot serve, and the models it stands in for. */
export interface UpstreamView {
  readonly name: string;
  readonly models: readonly string[];
}

/** How fast a node fetches and serves models at most, over all together, in bytes per second; null: without a limit. */
export interface TransferLimitsView {
  readonly fetchBytesPerSecond: number | null;
  readonly serveBytesPerSecond: number | null;
}

/** What `GET /cluster/v1/state` and `status --json` give. */
export interface ClusterState {
  /** Empty strings while this node is not in a cluster yet. */
  readonly cluster: { readonly id: string; readonly name: string; readonly open: boolean };
  readonly self: NodeId;
  /** Where this node stands: looking for a cluster, waiting for approval (with the code), or a member. */
  readonly standing: { readonly kind: "looking" | "pending" | "member"; readonly code: string | null };
  readonly nodes: readonly NodeView[];
  readonly deployments: readonly DeploymentView[];
  readonly pending: readonly PendingView[];
  readonly models: readonly ModelView[];
  /** Of the node that was asked alone; absent: none. */
  readonly upstreams?: readonly UpstreamView[];
  /** What the node that was asked is fetching; absent: nothing. */
  readonly pulls?: readonly PullView[];
  /** Of the node that was asked; absent: it has none. */
  readonly transferLimits?: TransferLimitsView;
}
