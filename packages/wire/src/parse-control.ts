import { amount, bytes, count, flag, list, nullable, oneOf, record, text, type Check } from "./check.ts";
import type { ControlAnswers, ControlFailure, ControlReply, ControlRequest, DeployWish } from "./control.ts";
import { ClusterdError, ERROR_CODES, type ErrorCode } from "./errors.ts";
import { hubPlace } from "./hub-place.ts";
import type { ContentId, DeploymentId, ModelId, NodeId } from "./ids.ts";
import { ALTERNATIVES_MAX, CLUSTER_NODES_MAX, HASHED_WEIGHTS_MAX, LAYERS_MAX, REMOTE_STAGES_MAX } from "./limits.ts";
import { logPage, logsRequest } from "./member-log.ts";
import { POOLINGS, type ModelProfile } from "./model-profile.ts";
import { plannedSpeculation, vocabulary } from "./parse-speculation.ts";
import { settingEntries } from "./settings.ts";
import { DEVICES_MAX } from "./stage-place.ts";
import { OBJECTIVES, type Placement, type PlanStage } from "./plan.ts";

const TICKET_BYTES = 32;
const DIGEST_LENGTH = 64;
const HASH_LENGTH = 16;
const TENSOR_NAME_LENGTH = 64;
const ID_LENGTH_MAX = 128;
const NAME_MAX = 256;
const TEXT_LENGTH_MAX = 2000;
const NOTES_MAX = 64;

const id = text(ID_LENGTH_MAX);
const deployment = text<DeploymentId>(ID_LENGTH_MAX);
const contentId = text<ContentId>(ID_LENGTH_MAX);
const layer = count(LAYERS_MAX);
const sentence = text(TEXT_LENGTH_MAX);

const unfusedElements = record({ head: amount, worker: amount, rows: amount, values: amount, copied: amount });

const stage: Check<PlanStage> = record({
  node: id,
  firstLayer: layer,
  lastLayer: layer,
  weightBytes: amount,
  kvBytes: amount,
  bufferBytes: amount,
  memoryBytes: amount,
  budgetBytes: amount,
  computeMs: amount,
  hopMs: amount,
  fetchBytes: nullable(amount),
});
const stages = list(stage, REMOTE_STAGES_MAX + 1);

const alternative = record({ head: id, stages, msPerToken: amount });

const placement: Check<Placement> = record({
  feasible: oneOf(true),
  objective: oneOf(...OBJECTIVES),
  head: id,
  context: count(),
  slots: count(1024),
  kv: oneOf("f16", "q8_0", "q4_0"),
  // Of a member that knows no other: on.
  flashAttention: (value, path) => value === undefined || flag(value, path),
  speculation: plannedSpeculation,
  model: record({
    name: text(NAME_MAX),
    layerCount: layer,
    layers: list(record({ weightBytes: amount, activeBytes: amount, kvBytesPerToken: amount }), LAYERS_MAX),
    inputBytes: amount,
    outputBytes: amount,
    hiddenBytes: amount,
  }),
  costs: record({
    stageOverheadMs: amount,
    contextTokensRead: amount,
    headBufferBytes: amount,
    workerBufferBytes: amount,
    workerBufferBytesPerLayer: amount,
  }),
  stages,
  predicted: record({
    msPerToken: amount,
    headMs: amount,
    tokensPerSecond: amount,
    low: amount,
    high: amount,
    timeToFirstTokenMs: nullable(amount),
    promptTokens: count(),
  }),
  certificate: record({ optimal: flag, method: sentence, lowerBoundMsPerToken: amount, explored: count() }),
  runnerUp: nullable(alternative),
  alternatives: list(alternative, ALTERNATIVES_MAX),
  bottleneck: record({ kind: oneOf("memory bandwidth", "link", "overhead"), node: id, ms: amount, share: amount }),
  unused: list(record({ node: id, why: sentence, msPerTokenIfUsed: nullable(amount) }), CLUSTER_NODES_MAX),
  notes: list(sentence, NOTES_MAX),
  why: list(sentence, NOTES_MAX),
});

const wish: Check<DeployWish> = record({
  head: nullable(text<NodeId>(ID_LENGTH_MAX)),
  pins: list(record({ node: text<NodeId>(ID_LENGTH_MAX), firstLayer: layer, lastLayer: layer }), REMOTE_STAGES_MAX + 1),
  without: list(text<NodeId>(ID_LENGTH_MAX), CLUSTER_NODES_MAX),
  replan: oneOf("ask", "auto"),
  context: nullable(count()),
  hub: nullable(hubPlace),
  parts: nullable(text(NAME_MAX)),
  onDemand: nullable(record({ keepAliveSeconds: nullable(amount) })),
});

const profile: Check<ModelProfile> = record({
  id: text<ModelId>(NAME_MAX),
  contentId,
  name: text(NAME_MAX),
  architecture: text(NAME_MAX),
  quantisation: text(NAME_MAX),
  fileBytes: amount,
  contextMax: count(),
  vocabularySize: count(),
  embeddingLength: count(),
  embedding: nullable(record({ pooling: oneOf(...POOLINGS), whole: flag })),
  projector: nullable(record({ file: text(NAME_MAX), fileBytes: amount, memoryBytes: amount })),
  infill: nullable(record({ prefix: count(), suffix: count(), middle: count(), begin: nullable(count()) })),
  vocabulary: nullable(vocabulary),
  nextTokenLayers: layer,
  layers: list(
    record({
      weightBytes: amount,
      activeBytes: amount,
      activeParameters: amount,
      kvElementsPerToken: amount,
      kvWindowTokens: nullable(count()),
      stateBytes: amount,
    }),
    LAYERS_MAX,
  ),
  activations: record({ f16Cache: amount, quantisedCache: amount, worker: amount, recurrent: amount, unfused: unfusedElements }),
  inputBytes: amount,
  outputBytes: amount,
  hiddenBytes: amount,
});

const requests: { readonly [Type in ControlRequest["type"]]: Check<Extract<ControlRequest, { type: Type }>> } = {
  deploy: record({ type: oneOf("deploy"), deployment, contentId, placement, wish }),
  replan: record({ type: oneOf("replan"), deployment }),
  undeploy: record({ type: oneOf("undeploy"), deployment }),
  want: record({ type: oneOf("want"), contentId, keepAliveSeconds: nullable(amount) }),
  keep: record({ type: oneOf("keep"), deployment, keepAliveSeconds: nullable(amount), byPerson: flag }),
  evict: record({ type: oneOf("evict"), deployment }),
  "worker-start": record({
    type: oneOf("worker-start"),
    deployment,
    epoch: count(),
    model: text(NAME_MAX),
    device: count(DEVICES_MAX),
    firstLayer: layer,
    lastLayer: layer,
    memoryBytes: amount,
    contentId,
    digests: list(nullable(text(DIGEST_LENGTH)), LAYERS_MAX + 1),
    hashes: nullable(flag),
  }),
  "worker-stop": record({ type: oneOf("worker-stop"), deployment, epoch: count() }),
  "worker-activity": record({ type: oneOf("worker-activity"), deployment, epoch: count(), device: count(DEVICES_MAX) }),
  "worker-ended": record({
    type: oneOf("worker-ended"),
    deployment,
    epoch: count(),
    device: count(DEVICES_MAX),
    reason: sentence,
  }),
  "engine-ticket": record({ type: oneOf("engine-ticket"), deployment }),
  profile: record({ type: oneOf("profile"), contentId }),
  approve: record({ type: oneOf("approve"), code: id }),
  "link-ticket": record({ type: oneOf("link-ticket") }),
  "weights-ticket": record({ type: oneOf("weights-ticket"), contentId }),
  "fetch-layers": record({
    type: oneOf("fetch-layers"),
    model: text(NAME_MAX),
    contentId,
    firstLayer: layer,
    lastLayer: layer,
    root: text<NodeId>(ID_LENGTH_MAX),
    holders: list(text<NodeId>(ID_LENGTH_MAX), CLUSTER_NODES_MAX),
    hub: nullable(hubPlace),
    stop: (value) => value === true,
  }),
  drain: record({ type: oneOf("drain"), on: flag }),
  logs: logsRequest,
  settings: record({ type: oneOf("settings"), whole: flag, floor: count(), entries: settingEntries }),
};

/** What happens is decided by codes: one that is none of ours, a newer member's, is a failure like any other. */
const errorCode: Check<ErrorCode> = (value) =>
  typeof value === "string" && ERROR_CODES.has(value) ? (value as ErrorCode) : "failed";

const failure: Check<ControlFailure> = record({
  code: errorCode,
  message: sentence,
  next: nullable(sentence),
});

const answers: { readonly [Type in keyof ControlAnswers]: Check<ControlAnswers[Type]> } = {
  deploy: record({ accepted: oneOf(true) }),
  undeploy: record({ stopped: flag }),
  want: record({ deployment }),
  keep: record({ kept: flag }),
  evict: record({ evicted: flag }),
  replan: record({ deployment, placement, moved: flag }),
  "worker-start": record({
    ticket: bytes(TICKET_BYTES),
    held: list(flag, LAYERS_MAX + 1),
    hashed: nullable(list(record({ name: text(TENSOR_NAME_LENGTH), fnv1a: text(HASH_LENGTH) }), HASHED_WEIGHTS_MAX)),
    packs: nullable(count()),
  }),
  "worker-stop": record({ stopped: flag }),
  "worker-activity": record({ activity: nullable(record({ stopped: flag, runnable: flag, cpuMs: amount })) }),
  "worker-ended": record({ noted: oneOf(true) }),
  "engine-ticket": record({ ticket: bytes(TICKET_BYTES) }),
  profile: record({ profile }),
  approve: record({ name: text(NAME_MAX), node: id }),
  "link-ticket": record({ ticket: nullable(bytes(TICKET_BYTES)) }),
  "weights-ticket": record({ ticket: nullable(bytes(TICKET_BYTES)) }),
  "fetch-layers": record({
    state: oneOf("fetching", "here", "failed"),
    doneBytes: amount,
    totalBytes: amount,
    error: nullable(failure),
  }),
  drain: record({ draining: flag }),
  logs: logPage,
  settings: record({ digest: id, floor: count(), entries: settingEntries }),
};

/** A request from another member, checked. Throws `invalid_request` naming what is wrong. */
export function parseControlRequest(value: unknown): ControlRequest {
  const type = (value as { type?: unknown } | null)?.type;
  if (typeof type !== "string" || !Object.hasOwn(requests, type))
    throw new ClusterdError("invalid_request", "A request of an unknown type was refused.");
  return requests[type as ControlRequest["type"]](value, type);
}

/** The reply to a request of that type, checked. */
export function parseControlReply<Type extends keyof ControlAnswers>(type: Type, value: unknown): ControlReply<Type> {
  const { ok } = (value ?? {}) as { ok?: unknown };
  if (ok === true) return { ok: true, answer: answers[type]((value as { answer?: unknown }).answer, type) };
  return { ok: false, error: failure((value as { error?: unknown } | null)?.error, `${type} error`) };
}
