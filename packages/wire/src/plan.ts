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
  readonly slots: number;
  readonly kv: KvType;
  readonly head?: string;
  readonly pins: readonly Pin[];
  readonly without: readonly string[];
  /** Absent: `auto`. */
  readonly speculation?: SpeculationWish;
  /** The draft model, where one is asked for. */
  readonly draft?: ModelProfile;
}

/** Constants of the cost model, part of every plan so that anyone can check it. Bytes, milliseconds, tokens. */
export interface PlanCosts {
  readonly stageOverheadMs: number;
  readonly contextTokensRead: number;
  /** A draft model included. */
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
    readonly low: number;
    readonly high: number;
  };
  readonly certificate: {
    readonly optimal: boolean;
    readonly method: string;
    readonly lowerBoundMsPerToken: number;
    readonly explored: number;
  };
  readonly runnerUp: { readonly stages: readonly PlanStage[]; readonly msPerToken: number } | null;
  readonly unused: readonly { readonly node: string; readonly why: string; readonly msPerTokenIfUsed: number | null }[];
  readonly notes: readonly string[];
}

/** Why no placement exists, with the numbers a person needs. Bytes. */
export interface Refusal {
  readonly feasible: false;
  readonly reason: "memory" | "head" | "stages";
  readonly bytesNeeded: number;
  readonly bytesAvailable: number;
  readonly shortByBytes: number;
  readonly suggestions: readonly string[];
}

export type PlanResult = Placement | Refusal;
