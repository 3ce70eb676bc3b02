import type {
  ClusterState,
  DeploymentId,
  DeploymentPhase,
  InfillTokens,
  KvType,
  LogEvent,
  ModelId,
  ModelTensors,
  NodeId,
  Objective,
  Pin,
  Placement,
  PlanResult,
  PullEvent,
  ReplanPolicy,
  SpeculationWish,
  VerifyEvent,
} from "@clusterd/wire";
import type { Aliases } from "./aliases.ts";
import type { Keys } from "./keys.ts";

/** A deployment as requests are routed to it. `context` is tokens per slot. */
export interface Route {
  readonly model: ModelId;
  readonly deployment: DeploymentId;
  readonly phase: DeploymentPhase;
  readonly reason: string | null;
  readonly head: { readonly id: NodeId; readonly name: string };
  readonly context: number;
  readonly slots: number;
  /** Requests at its head: with a turn, and waiting for one. */
  readonly work: { readonly active: number; readonly waiting: number };
  /** True while speculation does not pay: requests are then sent without. */
  readonly speculationPaused?: boolean;
  readonly createdSeconds: number;
  /** Another with every start of its engine: equal requests of one run have equal answers at temperature 0. */
  readonly run?: string;
  /** A request loaded it: it goes when it is idle. */
  readonly onDemand?: boolean;
  /** Whether the model makes embeddings instead of text. */
  readonly embeddings?: boolean;
  /** The marks by which the model fills a gap in a text, where it can. */
  readonly infill?: InfillTokens | null;
}

/** One HTTP request for a deployment's llama-server. Aborting the signal must free the engine's slot. */
export interface EngineRequest {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body: string | null;
  readonly signal: AbortSignal;
  /** Whose request it is: turns are shared out fairly among these. */
  readonly caller: string;
  /** A further choice of a request that has had a turn: it may wait where others are told that the queue is full. */
  readonly more?: boolean;
  /** Told the place in the queue, 1 for the next, while there is no free slot, and 0 once there is one. */
  readonly onWaiting?: (position: number) => void;
}

/** What a person wants deployed or planned. */
export interface LoadBody {
  readonly model: string;
  readonly as?: string;
  readonly objective?: Objective;
  readonly head?: string;
  readonly pin?: readonly Pin[];
  readonly without?: readonly string[];
  readonly ctx?: number;
  readonly slots?: number;
  readonly kv?: KvType;
  readonly flashAttention?: boolean;
  /** On so many sets of hosts that share none; `auto`: on as many as serve more requests. Of loads only. */
  readonly replicas?: number | "auto";
  /** The draft model's REF. */
  readonly draft?: string;
  readonly speculation?: SpeculationWish;
  /** Of plans only: how many placements to tell of, and the prompt whose first token is predicted. */
  readonly top?: number;
  readonly promptTokens?: number;
  /** `now`: move the running deployment to the best placement of what was asked for then. The others: what it is to do from then on. */
  readonly replan?: "now" | ReplanPolicy;
}

/** What a load has led to; the fastest replica first, and told of by itself. */
export interface LoadResult {
  readonly deployment: DeploymentId;
  readonly model: ModelId;
  readonly plan: Placement;
  readonly replicas: readonly { readonly deployment: DeploymentId; readonly plan: Placement }[];
}

/** Models fetched from a hub into this node's home. */
export interface ModelPulls {
  /**
   * Begins a pull, or joins the one under way. Ending the loop ends the telling, not the pull. `all`: a whole copy of what members have,
   * under any of its names. `projector` false: what lets it see images stays on the hub.
   */
  follow(ref: string, options?: { readonly all?: boolean; readonly projector?: boolean }): AsyncGenerator<PullEvent, void>;
  cancel(ref: string): boolean;
  /** Looks at what is on this node's disk now: another tool may have fetched a model, or deleted one. */
  look(): Promise<void>;
}

/** The models on this node's disk. */
export interface KeptModels {
  /**
   * Deletes what was pulled of a model, and its parts, where it is not deployed here; `unused`: of its parts the layers that no deployment
   * needs here. Gives the bytes freed.
   */
  remove(
    ref: string,
    options: { readonly unused: boolean },
  ): Promise<{ readonly model: string; readonly bytes: number; readonly partBytes: number; readonly layers: string | null }>;
  /** Reads a model's files again, all models' where there is none, and tells. Leaving the loop ends it. `repair`: fetches again what is wrong. */
  verify(ref: string | null, options: { readonly repair: boolean }): AsyncGenerator<VerifyEvent, void>;
  /** What is known of the bytes of a model that this node has, or has a part of. Rejects with `not_found`. */
  tensors(ref: string): Promise<ModelTensors>;
}

/** The node behind the HTTP surface: what it knows, where requests go, and what may be asked of it. */
export interface Backend {
  readonly node: { readonly id: NodeId; readonly name: string };
  state(): ClusterState;
  /** Calls back after every change of the state; returns what ends that. */
  onChange(listener: () => void): () => void;
  /** Every deployment known, in any phase. */
  routes(): readonly Route[];
  /**
   * The deployment of a model named by id, alias or REF, without regard to case. `conversation` (null: of none, see
   * serve/conversation.ts): of several replicas the one for such a request, which is to be sent there now; absent: somebody only looks.
   */
  route(model: string, conversation?: string | null): Route | null;
  /** The id of a model that a request's name means and that `want` would load; null where there is none. */
  known(model: string): ModelId | null;
  /**
   * Begins to load such a model and gives its deployment, loading or ready; null where no node has it (any more), or where it went at
   * once. Rejects where it cannot be loaded (`does_not_fit`), or not now (`model_not_ready`). `keepAliveSeconds`: idleness after which
   * it goes; null: never; absent: this node's rule.
   */
  want(model: string, keepAliveSeconds?: number | null): Promise<Route | null>;
  /** From now on what a request loaded goes after so long; what a person loaded stays as it is. */
  keepAlive(deployment: DeploymentId, keepAliveSeconds: number | null): void;
  /**
   * The answer of a deployment's llama-server as it is, its body streaming. Rejects, or errors the body, with a ClusterdError
   * (`worker_lost`, `engine_crashed`, `shards_unreachable`, …) where the exchange breaks.
   */
  fetchEngine(deployment: DeploymentId, request: EngineRequest): Promise<Response>;
  plan(body: LoadBody): Promise<PlanResult>;
  /** A refusal by the planner is a `does_not_fit` error with its numbers in `details`. */
  load(body: LoadBody): Promise<LoadResult>;
  unload(model: string): Promise<{ model: ModelId }>;
  approve(code: string): Promise<{ node: NodeId; name: string }>;
  remove(node: string): Promise<{ node: NodeId; name: string }>;
  drain(node: string, on: boolean): Promise<{ node: NodeId; draining: boolean }>;
  rotate(): Promise<void>;
  leave(): Promise<void>;
  /** The last lines of a member's log, named by id or name; absent: of this node's. Rejects with `not_found`. */
  logs(lines: number, node?: string): Promise<readonly string[]>;
  /** The last lines of a member's log (null: this node's), then further ones as they come, until the signal fires or the node is gone. */
  followLogs(node: string | null, lines: number, signal: AbortSignal): AsyncGenerator<LogEvent, void>;
  readonly pulls: ModelPulls;
  readonly models: KeptModels;
  readonly keys: Keys;
  /** Bytes that this node's tunnels have carried since it started; null: it has none. */
  tunnelBytes(): { readonly sent: number; readonly received: number } | null;
  readonly aliases: Aliases;
}
