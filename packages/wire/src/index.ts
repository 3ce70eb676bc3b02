// What nodes say to each other. Encoding details and validators stay inside.
export type { NodeId, ModelId, ContentId, DeploymentId } from "./ids.ts";
export { asNodeId, asModelId, asContentId, asDeploymentId, sameModel } from "./ids.ts";
export { modelKind } from "./device-info.ts";
export type { Accelerator, BandwidthSource, DecodedBandwidth, DeviceInfo, RaisableMemory } from "./device-info.ts";
export type { EmbeddingUse, InfillTokens, KvType, LayerProfile, ModelProfile, Pooling, Projector } from "./model-profile.ts";
export { KV_BYTES_PER_ELEMENT } from "./model-profile.ts";
export type {
  Inventory,
  LinkTable,
  Objective,
  Pin,
  Alternative,
  Bottleneck,
  HeldLayers,
  Placement,
  PlanCosts,
  PlanRequest,
  PlanResult,
  PlanStage,
  PlannerNode,
  Refusal,
} from "./plan.ts";
export { OBJECTIVES } from "./plan.ts";
export { cellsFor, MICRO_BATCH_TOKENS, promptBatchTokens, textBatchTokens } from "./prompt-batch.ts";
export type {
  PlannedDraft,
  PlannedSpeculation,
  SpeculationType,
  SpeculationView,
  SpeculationWish,
  Vocabulary,
} from "./speculation.ts";
export { SPECULATION_WISHES, VOCABULARY_CHUNK_TOKENS } from "./speculation.ts";
export type {
  ClusterState,
  DeploymentPhase,
  DeploymentView,
  LinkView,
  ModelView,
  UpstreamView,
  NodeState,
  NodeView,
  OnDemandView,
  PendingView,
  Percentiles,
  PredictionView,
  ProposalView,
  QueueView,
  ReplanPolicy,
  StageFetchView,
  StageTiming,
  StageView,
  TransferLimitsView,
} from "./cluster-state.ts";
export type { DiskView } from "./disk-view.ts";
export type { HeldPart, LayerSpan } from "./held-part.ts";
export { layersText, parseLayers } from "./held-part.ts";
export type { ModelTensors } from "./model-tensors.ts";
export type { HubPlace } from "./hub-place.ts";
export type { HubName, NamedModel } from "./hub-name.ts";
export { ambiguous, DEFAULT_QUANTISATION, hubId, modelsNamed, parseHubName } from "./hub-name.ts";
export type { VerifyEvent, VerifyFinding } from "./verify-view.ts";
export type { PullEvent, PullView } from "./pull-view.ts";
export type { Advert, AdvertDeployment, AdvertModel, DataPlaneAddress, EngineSummary } from "./advert.ts";
export { isNewer } from "./advert.ts";
export type {
  ApproveRequest,
  ControlAnswers,
  ControlFailure,
  ControlReply,
  ControlRequest,
  DeployRequest,
  FetchLayersRequest,
  DeployWish,
  DrainRequest,
  EngineTicketRequest,
  HashedWeight,
  ProfileRequest,
  SettingsRequest,
  UndeployRequest,
  WorkerEndedRequest,
  WorkerStartRequest,
  WorkerActivityRequest,
  WorkerStopRequest,
} from "./control.ts";
export type { ClusterdErrorOptions, ErrorCode } from "./errors.ts";
export { ClusterdError, asClusterdError } from "./errors.ts";
export {
  CLUSTER_NODES_MAX,
  CONTROL_FRAME_BYTES_MAX,
  DEPLOYMENTS_PER_NODE_MAX,
  HASHED_WEIGHTS_MAX,
  HELD_PARTS_PER_NODE_MAX,
  LAYERS_MAX,
  MESSAGE_DEPTH_MAX,
  MESSAGE_VALUES_MAX,
  ALIASES_PER_MODEL_MAX,
  MODEL_NAME_LENGTH_MAX,
  MODELS_PER_NODE_MAX,
  NAME_LENGTH_MAX,
  PENDING_MAX,
  ALTERNATIVES_MAX,
  REPLICAS_MAX,
  DECODED_KINDS_MAX,
  REMOTE_STAGES_MAX,
} from "./limits.ts";
export { decodeMessage, encodeMessage } from "./codec.ts";
export { encodeFrame, FrameReader } from "./frame.ts";
export type { AliasTarget, AliasView } from "./alias-view.ts";
export type { Check, Checked } from "./check.ts";
export { amount, bytes, cleanName, count, flag, list, nullable, oneOf, record, text } from "./check.ts";
export type { KeyGrant, KeyLimits, KeyView } from "./keys.ts";
export type { SettingEntry, SettingsMessage } from "./settings.ts";
export { SETTINGS_LENGTH_MAX, SETTINGS_MAX, SETTINGS_REMOVED_MAX, settingEntries, settingJson, settingKey } from "./settings.ts";
export type { LogEvent, LogPage, LogsRequest } from "./member-log.ts";
export { LOG_LINE_LENGTH_MAX, LOG_PAGE_CHARACTERS_MAX, LOG_PAGE_LINES_MAX, logText } from "./member-log.ts";
export { parseAdvert } from "./parse-advert.ts";
export { parseControlReply, parseControlRequest } from "./parse-control.ts";
export type { StagePlace } from "./stage-place.ts";
export { DEVICES_MAX, placeOf, placeText } from "./stage-place.ts";
