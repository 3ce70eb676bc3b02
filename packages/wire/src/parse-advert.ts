import type { Advert } from "./advert.ts";
import { amount, count, finite, flag, list, nullable, oneOf, record, text, type Check } from "./check.ts";
import type { DeploymentPhase, DeploymentView, PendingView } from "./cluster-state.ts";
import type { BandwidthSource } from "./device-info.ts";
import { diskView } from "./disk-view.ts";
import { heldPart } from "./held-part.ts";
import type { ContentId, DeploymentId, ModelId, NodeId } from "./ids.ts";
import { share, speculationType } from "./parse-speculation.ts";
import {
  ALIASES_PER_MODEL_MAX,
  CLUSTER_NODES_MAX,
  DEPLOYMENTS_PER_NODE_MAX,
  DECODED_KINDS_MAX,
  HELD_PARTS_PER_NODE_MAX,
  LAYERS_MAX,
  MODEL_NAME_LENGTH_MAX,
  MODELS_PER_NODE_MAX,
  NAME_LENGTH_MAX,
  PENDING_MAX,
  REMOTE_STAGES_MAX,
} from "./limits.ts";

const ID_LENGTH_MAX = 128;
const REASON_LENGTH_MAX = 1000;
const ACCELERATORS_MAX = 16;
const ADDRESSES_MAX = 32;
/** More than any machine has: a claim beyond it is a lie (FAULTS: lying peer). */
export const MEMORY_BYTES_PLAUSIBLE: number = 8 * 2 ** 40;
export const BANDWIDTH_PLAUSIBLE = 20e12;
export const FLOPS_PLAUSIBLE = 10e15;
/** Of a link: 800 Gbit/s. A round trip longer than this is no link a pipeline could use. */
export const LINK_RATE_PLAUSIBLE = 100e9;
const RTT_MS_MAX = 60_000;

const nodeId = text<NodeId>(ID_LENGTH_MAX);
const name = text(NAME_LENGTH_MAX);
const clamped =
  (max: number): Check<number> =>
  (value, path) =>
    Math.min(max, amount(value, path));
const memory = clamped(MEMORY_BYTES_PLAUSIBLE);

const device = record({
  platform: name,
  chip: text(MODEL_NAME_LENGTH_MAX),
  memoryBytesTotal: memory,
  memoryBytesFree: memory,
  memoryBytesBudget: memory,
  raisable: nullable(record({ memoryBytes: memory, wiredLimitMb: count() })),
  bandwidthBytesPerSecond: clamped(BANDWIDTH_PLAUSIBLE),
  bandwidthSource: oneOf<BandwidthSource>("table", "probe", "decode", "flag"),
  decoded: nullable(
    list(record({ kind: text(MODEL_NAME_LENGTH_MAX), bytesPerSecond: clamped(BANDWIDTH_PLAUSIBLE) }), DECODED_KINDS_MAX),
  ),
  flopsPerSecond: nullable(clamped(FLOPS_PLAUSIBLE)),
  accelerators: list(
    record({
      name: text(MODEL_NAME_LENGTH_MAX),
      memoryBytes: memory,
      bandwidthBytesPerSecond: nullable(clamped(BANDWIDTH_PLAUSIBLE)),
    }),
    ACCELERATORS_MAX,
  ),
});

const percentiles = record({ p50: amount, p95: amount });
const timing = record({
  steps: count(),
  tokensPerStep: amount,
  cacheTokens: (value, path) => (value === undefined || value === null ? 0 : amount(value, path)),
  computeMs: percentiles,
  wireMs: percentiles,
  idleMs: percentiles,
  bytesUp: amount,
  bytesDown: amount,
  tokensPerSecond: amount,
  encrypted: flag,
});

const stage = record({
  node: nodeId,
  firstLayer: count(LAYERS_MAX),
  lastLayer: count(LAYERS_MAX),
  weightBytes: amount,
  activeBytes: amount,
  kvBytes: amount,
  bufferBytes: amount,
  predictedMsPerToken: amount,
  measuredMsPerToken: nullable(amount),
  timing: nullable(timing),
  progress: amount,
  fetch: nullable(
    record({ doneBytes: amount, totalBytes: amount, bytesPerSecond: nullable(amount), secondsLeft: nullable(amount) }),
  ),
});

const view: Check<DeploymentView> = record({
  model: text<ModelId>(MODEL_NAME_LENGTH_MAX),
  aliases: list(text(MODEL_NAME_LENGTH_MAX), ALIASES_PER_MODEL_MAX),
  state: oneOf<DeploymentPhase>("planning", "fetching", "loading", "ready", "recovering", "draining", "failed"),
  reason: nullable(text(REASON_LENGTH_MAX)),
  epoch: count(),
  head: nodeId,
  context: count(),
  slots: count(),
  queue: record({ active: count(), waiting: count(), limit: count() }),
  speculation: record({
    type: speculationType,
    draft: nullable(text<ModelId>(MODEL_NAME_LENGTH_MAX)),
    acceptance: nullable(share),
    active: flag,
  }),
  layerCount: count(LAYERS_MAX),
  stages: list(stage, REMOTE_STAGES_MAX + 1),
  predictedTokensPerSecond: amount,
  measuredTokensPerSecond: nullable(amount),
  prediction: record({
    low: amount,
    high: amount,
    promptTokens: count(),
    timeToFirstTokenMs: nullable(amount),
    measuredTimeToFirstTokenMs: nullable(amount),
    error: nullable(finite),
  }),
  replan: oneOf("ask", "auto"),
  proposal: nullable(
    record({
      head: nodeId,
      stages: list(record({ node: nodeId, firstLayer: count(LAYERS_MAX), lastLayer: count(LAYERS_MAX) }), REMOTE_STAGES_MAX + 1),
      msDeployed: amount,
      msProposed: amount,
      gain: amount,
    }),
  ),
  onDemand: nullable(record({ keepAliveSeconds: nullable(amount), idle: flag, usedAt: amount, until: nullable(amount) })),
});

const pending: Check<PendingView> = record({
  code: name,
  node: nodeId,
  name,
  address: text(MODEL_NAME_LENGTH_MAX),
  version: name,
  askedNode: nodeId,
});

const heldParts = list(heldPart, HELD_PARTS_PER_NODE_MAX);

/** An advert from elsewhere, every member checked and bounded, implausible claims cut down. Throws `invalid_request`. */
export function parseAdvert(value: unknown): Advert {
  return advert(value, "advert");
}

const advert: Check<Advert> = record({
  node: nodeId,
  name,
  version: name,
  incarnation: count(),
  sequence: count(),
  draining: flag,
  device,
  links: list(
    record({
      to: nodeId,
      rttMs: clamped(RTT_MS_MAX),
      rttMsMin: nullable(clamped(RTT_MS_MAX)),
      bytesPerSecond: clamped(LINK_RATE_PLAUSIBLE),
      measuredAt: nullable(count()),
    }),
    CLUSTER_NODES_MAX,
  ),
  engine: record({ fingerprint: text(ID_LENGTH_MAX), rpcProtocol: name, llamaCpp: name }),
  models: list(
    record({
      id: text<ModelId>(MODEL_NAME_LENGTH_MAX),
      contentId: text<ContentId>(ID_LENGTH_MAX),
      name: text(MODEL_NAME_LENGTH_MAX),
      architecture: name,
      quantisation: name,
      fileBytes: amount,
      layerCount: count(LAYERS_MAX),
      contextMax: count(),
      source: (value, at) => (value === undefined ? "" : name(value, at)),
      diskBytes: nullable(amount),
      embeddings: (value) => value === true,
      infill: nullable(record({ prefix: count(), suffix: count(), middle: count(), begin: nullable(count()) })),
      aliases: list(text(MODEL_NAME_LENGTH_MAX), ALIASES_PER_MODEL_MAX),
    }),
    MODELS_PER_NODE_MAX,
  ),
  deployments: list(
    record({ id: text<DeploymentId>(ID_LENGTH_MAX), contentId: text<ContentId>(ID_LENGTH_MAX), view }),
    DEPLOYMENTS_PER_NODE_MAX,
  ),
  pending: list(pending, PENDING_MAX),
  addresses: list(text(MODEL_NAME_LENGTH_MAX), ADDRESSES_MAX),
  dataPlane: record({ port: count(65535), fingerprint: text(ID_LENGTH_MAX) }),
  settings: nullable(text(ID_LENGTH_MAX)),
  held: (value, at) => (value === undefined ? [] : heldParts(value, at)),
  disk: nullable(diskView),
});
