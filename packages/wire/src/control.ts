import type { ErrorCode } from "./errors.ts";
import type { ReplanPolicy } from "./cluster-state.ts";
import type { HubPlace } from "./hub-place.ts";
import type { ContentId, DeploymentId, NodeId } from "./ids.ts";
import type { LogPage, LogsRequest } from "./member-log.ts";
import type { ModelProfile } from "./model-profile.ts";
import type { Placement } from "./plan.ts";
import type { SettingsMessage } from "./settings.ts";

/** What a person asked for besides the model, kept for the day it is planned again. Nodes by id. */
export interface DeployWish {
  readonly head: NodeId | null;
  readonly pins: readonly { readonly node: NodeId; readonly firstLayer: number; readonly lastLayer: number }[];
  readonly without: readonly NodeId[];
  readonly replan: ReplanPolicy;
  /** Tokens per slot; null or absent: chosen with the placement. */
  readonly context?: number | null;
  /** Where each node fetches its part of the model from, where no member has all of it. */
  readonly hub?: HubPlace | null;
  /** The model's id, where no member has all of it: its head has a part of it, as everyone. Null or absent: the head has its file. */
  readonly parts?: string | null;
  /** Null or absent: a person asked. Else a request did, and what it loaded goes after so many seconds of idleness (null: never). */
  readonly onDemand?: { readonly keepAliveSeconds: number | null } | null;
}

/** Ask the head's node to run a deployment. Stages name nodes by their ids here. */
export interface DeployRequest {
  readonly type: "deploy";
  readonly deployment: DeploymentId;
  readonly contentId: ContentId;
  readonly placement: Placement;
  readonly wish: DeployWish;
}

/** Ask the head's node to move a deployment to the best placement for now. */
export interface ReplanRequest {
  readonly type: "replan";
  readonly deployment: DeploymentId;
}

export interface UndeployRequest {
  readonly type: "undeploy";
  readonly deployment: DeploymentId;
}

/** Ask the node that decides such things to load a model for a request that named it. Seconds of idleness as in `DeployWish`. */
export interface WantRequest {
  readonly type: "want";
  readonly contentId: ContentId;
  readonly keepAliveSeconds: number | null;
}

/** Tell a head how long what a request loaded stays while idle (seconds; null: always); `byPerson`: it is a person's from now on. */
export interface KeepRequest {
  readonly type: "keep";
  readonly deployment: DeploymentId;
  readonly keepAliveSeconds: number | null;
  readonly byPerson: boolean;
}

/** Ask a head to give up what a request loaded, unless it is at work or a person's by now. */
export interface EvictRequest {
  readonly type: "evict";
  readonly deployment: DeploymentId;
}

/** Ask a worker's node to start the rpc-server of one stage; the answer's ticket opens tunnels to it. */
export interface WorkerStartRequest {
  readonly type: "worker-start";
  readonly deployment: DeploymentId;
  /** A worker serves only the highest epoch it has seen of a deployment. */
  readonly epoch: number;
  readonly model: string;
  /** Which of the node's accelerators; 0 where it has none. */
  readonly device: number;
  readonly firstLayer: number;
  readonly lastLayer: number;
  /** Memory the stage will take; refused beyond the node's budget. */
  readonly memoryBytes: number;
  readonly contentId: ContentId;
  /**
   * SHA-256 (hex) of each layer's weights and, last, of those that follow the layers, by the head's file; null: its file does not hold
   * them. What the worker's own file holds with the same content needs not be sent.
   */
  readonly digests: readonly (string | null)[];
  /** Whether the head's engine asks for large weights by their FNV-1a, as one without our patch does. Absent: it does not. */
  readonly hashes?: boolean | null;
}

export interface WorkerStopRequest {
  readonly type: "worker-stop";
  readonly deployment: DeploymentId;
  readonly epoch: number;
}

/** Ask a worker what the engine of one of its stages is doing: one that is starved is told from one that is stuck. */
export interface WorkerActivityRequest {
  readonly type: "worker-activity";
  readonly deployment: DeploymentId;
  readonly epoch: number;
  readonly device: number;
}

/** Ask a head for a ticket that opens ways to the gate of its llama-server. */
export interface EngineTicketRequest {
  readonly type: "engine-ticket";
  readonly deployment: DeploymentId;
}

/** Ask a node that has a model for its profile. */
export interface ProfileRequest {
  readonly type: "profile";
  readonly contentId: ContentId;
}

/** Pass on a person's approval to the member that was asked. */
export interface ApproveRequest {
  readonly type: "approve";
  readonly code: string;
}

/** Tell a head that a stage's process has ended. */
export interface WorkerEndedRequest {
  readonly type: "worker-ended";
  readonly deployment: DeploymentId;
  readonly epoch: number;
  readonly device: number;
  readonly reason: string;
}

/** Ask to measure the way to this node: one measurement over a tunnel of its own. */
export interface LinkTicketRequest {
  readonly type: "link-ticket";
}

/** Ask a node to have the layers on its own disk that it is to run: fetched from the head and from others who have them. */
export interface FetchLayersRequest {
  readonly type: "fetch-layers";
  readonly model: string;
  readonly contentId: ContentId;
  readonly firstLayer: number;
  readonly lastLayer: number;
  /** The head: what it has of the model is what others' blocks are held against. */
  readonly root: NodeId;
  /** Further members that may have some of it. */
  readonly holders: readonly NodeId[];
  /** Where the rest is; null or absent: with members alone. */
  readonly hub?: HubPlace | null;
  /** It is not wanted any more: ends what this head alone had asked for. */
  readonly stop?: boolean;
}

/** Ask for a way to what a node has of a model. */
export interface WeightsTicketRequest {
  readonly type: "weights-ticket";
  readonly contentId: ContentId;
}

/** Tell a node to take no new work (`on`), or to take it again. */
export interface DrainRequest {
  readonly type: "drain";
  readonly on: boolean;
}

/** Tell a member settings of the cluster: those that have changed, or all that are known here (`whole`). */
export interface SettingsRequest extends SettingsMessage {
  readonly type: "settings";
  readonly whole: boolean;
}

export type ControlRequest =
  | DeployRequest
  | ReplanRequest
  | UndeployRequest
  | WantRequest
  | KeepRequest
  | EvictRequest
  | FetchLayersRequest
  | WeightsTicketRequest
  | WorkerStartRequest
  | WorkerStopRequest
  | WorkerActivityRequest
  | WorkerEndedRequest
  | EngineTicketRequest
  | ProfileRequest
  | ApproveRequest
  | LinkTicketRequest
  | DrainRequest
  | LogsRequest
  | SettingsRequest;

/** What each request is answered with. */
export interface ControlAnswers {
  readonly deploy: { readonly accepted: true };
  readonly undeploy: { readonly stopped: boolean };
  readonly want: { readonly deployment: DeploymentId };
  readonly keep: { readonly kept: boolean };
  readonly evict: { readonly evicted: boolean };
  /** `moved`: false where it stands at the best placement already. */
  readonly replan: { readonly deployment: DeploymentId; readonly placement: Placement; readonly moved: boolean };
  /** How far it is; asked again and again while `fetching`. Bytes of the layers asked for. */
  readonly "fetch-layers": {
    readonly state: "fetching" | "here" | "failed";
    readonly doneBytes: number;
    readonly totalBytes: number;
    readonly error: ControlFailure | null;
  };
  /** Null: it has nothing of that model. */
  readonly "weights-ticket": { readonly ticket: Uint8Array | null };
  /**
   * `held`: for each of the digests, whether the worker puts these weights in from its own file. `hashed`, to an engine that asks so: large
   * ones in layers that it has otherwise; it puts in those of the same FNV-1a. `packs`: the number of the way in which it takes packed
   * frames; absent: in none.
   */
  readonly "worker-start": {
    readonly ticket: Uint8Array;
    readonly held: readonly boolean[];
    readonly hashed?: readonly HashedWeight[] | null;
    readonly packs?: number | null;
  };
  readonly "worker-stop": { readonly stopped: boolean };
  /** Whether all of its process was stopped, whether one of its threads computes or wants to, and its processor time so far; null: unknown. */
  readonly "worker-activity": {
    readonly activity: { readonly stopped: boolean; readonly runnable: boolean; readonly cpuMs: number } | null;
  };
  readonly "worker-ended": { readonly noted: true };
  readonly "engine-ticket": { readonly ticket: Uint8Array };
  readonly profile: { readonly profile: ModelProfile };
  readonly approve: { readonly name: string; readonly node: string };
  /** Null: not now, one of the two has something else to do. */
  readonly "link-ticket": { readonly ticket: Uint8Array | null };
  readonly drain: { readonly draining: boolean };
  readonly logs: LogPage;
  /** To all settings: what the asker lacks. */
  readonly settings: SettingsMessage & { readonly digest: string };
}

/** A tensor's bytes, as llama.cpp's RPC hashes them: 16 hexadecimal digits. */
export interface HashedWeight {
  readonly name: string;
  readonly fnv1a: string;
}

/** A refusal or failure on the other side, in the words of that side. */
export interface ControlFailure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly next: string | null;
}

export type ControlReply<Type extends keyof ControlAnswers = keyof ControlAnswers> =
  | { readonly ok: true; readonly answer: ControlAnswers[Type] }
  | { readonly ok: false; readonly error: ControlFailure };
