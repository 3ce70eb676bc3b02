import type { BandwidthSource } from "./device-info.ts";
import type { KvType, ModelProfile } from "./model-profile.ts";
import type { PlannedSpeculation, SpeculationWish } from "./speculation.ts";

export type Objective = "latency" | "throughput" | "spread";
export const OBJECTIVES: readonly Objective[] = ["latency", "throughput", "spread"];

/** A machine as the planner sees it. */
export interface PlannerNode {
  /** Unique within the request; what plans call the node. */
  readonly name: string;
  readonly memoryBytes: number;
  readonly bandwidthBytesPerSecond: number;
  /** Whether it can run the head: it has the model's file and the engine for it. */
  readonly canHead: boolean;
  /** Where the bandwidth figure comes from: how far a prediction may be off. Absent: a person's own figure. */
  readonly bandwidthSource?: BandwidthSource;
  /** Arithmetic it manages on a prompt, in floating-point operations per second. Absent: unknown, and no time to first token is predicted. */
  readonly flopsPerSecond?: number;
  /** Memory that a setting of the machine would free for models, and which: more than `memoryBytes`. */
  readonly raisable?: { readonly memoryBytes: number; readonly how: string };
  /** What of the model is on its disk. Absent: not known, and nothing is said of fetching. */
  readonly held?: HeldLayers;
}

/** What of a model a machine has on its disk. */
export interface HeldLayers {
  /** Layers it has completely. */
  readonly layers: readonly number[];
  /** Whether it has the embeddings and the output. */
  readonly head: boolean;
}

/** What crosses between two machines, both ways alike unless a pair says otherwise. */
export interface LinkTable {
  readonly rttMs: number;
  readonly bytesPerSecond: number;
  readonly pairs: readonly { readonly a: string; readonly b: string; readonly rttMs: number; readonly bytesPerSecond: number }[];
}

/** What `plan --nodes FILE` reads. */
export interface Inventory {
  readonly nodes: readonly PlannerNode[];
  readonly links: LinkTable;
}

/** A node held to a layer range, first and last included. */
export interface Pin {
  readonly node: string;
  readonly firstLayer: number;
  readonly lastLayer: number;
}

/** Everything a plan depends on: the same request always gives the same plan. */
export interface PlanRequest {
  readonly model: ModelProfile;
  readonly nodes: readonly PlannerNode[];
  readonly links: LinkTable;
  readonly objective: Objective;
  /** Tokens of context per slot; absent: the planner chooses the largest useful one that fits, and says so. */
  readonly context?: number;
  /** Tokens of context that a token reads on average, for predictions. Absent: half of the context, of a chosen one of at most 8192. */
  readonly contextTokensRead?: number;
  readonly slots: number;
  readonly kv: KvType;
  /** Absent: on. Off it takes more memory and traffic; a quantised cache needs it. */
  readonly flashAttention?: boolean;
  readonly head?: string;
  readonly pins: readonly Pin[];
  readonly without: readonly string[];
  /** How many placements to tell of besides the best one, each over another head or other nodes. Absent: none but the runner-up. */
  readonly top?: number;
  /** Length of the prompt for which a time to first token is predicted. Absent: `PROMPT_TOKENS_DEFAULT`. */
  readonly promptTokens?: number;
  /** Absent: `auto`. */
  readonly speculation?: SpeculationWish;
  /** The draft model, where one is asked for. */
  readonly draft?: ModelProfile;
}

/** Constants of the cost model, part of every plan so that anyone can check it. Bytes, milliseconds, tokens. */
export interface PlanCosts {
  readonly stageOverheadMs: number;
  readonly contextTokensRead: number;
  /** A draft model and what sees images included. */
  readonly headBufferBytes: number;
  readonly workerBufferBytes: number;
  readonly workerBufferBytesPerLayer: number;
}

export interface PlanStage {
  readonly node: string;
  readonly firstLayer: number;
  readonly lastLayer: number;
  readonly weightBytes: number;
  readonly kvBytes: number;
  readonly bufferBytes: number;
  readonly memoryBytes: number;
  readonly budgetBytes: number;
  readonly computeMs: number;
  readonly hopMs: number;
  /** Weights that its node does not have on its disk; null or absent: not known. */
  readonly fetchBytes?: number | null;
}

/** Another placement of the same model, for comparison. */
export interface Alternative {
  readonly head: string;
  readonly stages: readonly PlanStage[];
  readonly msPerToken: number;
}

/** What most of a token's time goes to: reading weights on one machine, or one wire between the head and a stage. */
export interface Bottleneck {
  readonly kind: "memory bandwidth" | "link" | "overhead";
  readonly node: string;
  readonly ms: number;
  /** Of a token's whole time, 0 to 1. */
  readonly share: number;
}

/** A placement and why. The shape of `plan --json`. */
export interface Placement {
  readonly feasible: true;
  readonly objective: Objective;
  readonly head: string;
  /** Tokens per slot. */
  readonly context: number;
  readonly slots: number;
  readonly kv: KvType;
  readonly flashAttention: boolean;
  readonly speculation: PlannedSpeculation;
  readonly model: {
    readonly name: string;
    readonly layerCount: number;
    readonly layers: readonly { readonly weightBytes: number; readonly activeBytes: number; readonly kvBytesPerToken: number }[];
    readonly inputBytes: number;
    readonly outputBytes: number;
    readonly hiddenBytes: number;
  };
  readonly costs: PlanCosts;
  /** In pipeline order: contiguous, disjoint, covering all layers. The head's own stage, where it has one, comes first. */
  readonly stages: readonly PlanStage[];
  readonly predicted: {
    readonly msPerToken: number;
    readonly headMs: number;
    readonly tokensPerSecond: number;
    /** Tokens per second between which the measured value is expected, from where the figures of the machines come. */
    readonly low: number;
    readonly high: number;
    /** For an empty cache and a prompt of `promptTokens`; null where a machine's arithmetic is not known. */
    readonly timeToFirstTokenMs: number | null;
    readonly promptTokens: number;
  };
  readonly certificate: {
    /** Whether no placement is faster than `lowerBoundMsPerToken`, and this one is within the 2 % that count as equally fast. */
    readonly optimal: boolean;
    readonly method: string;
    readonly lowerBoundMsPerToken: number;
    readonly explored: number;
  };
  /** The best placement over another head or other nodes. */
  readonly runnerUp: Alternative | null;
  /** The best `top` of those, the runner-up first. */
  readonly alternatives: readonly Alternative[];
  readonly bottleneck: Bottleneck;
  readonly unused: readonly { readonly node: string; readonly why: string; readonly msPerTokenIfUsed: number | null }[];
  readonly notes: readonly string[];
  /** The reasons for all this, as sentences. */
  readonly why: readonly string[];
}

/** Why no placement exists, with the numbers a person needs. Bytes. */
export interface Refusal {
  readonly feasible: false;
  readonly reason: "memory" | "head" | "stages";
  readonly bytesNeeded: number;
  readonly bytesAvailable: number;
  readonly shortByBytes: number;
  readonly suggestions: readonly string[];
  readonly why: readonly string[];
}

export type PlanResult = Placement | Refusal;
