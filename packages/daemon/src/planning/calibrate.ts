import {
  DECODED_KINDS_MAX,
  modelKind,
  type ContentId,
  type DecodedBandwidth,
  type DeploymentView,
  type DeviceInfo,
  type StageView,
} from "@clusterd/wire";
import type { DaemonState, HeadedDeployment } from "../state/daemon-state.ts";
import { allDeployments } from "../state/view.ts";

/** Below this a step is mostly overhead, and says little of the memory. */
const STEP_MS_MIN = 5;
const STEPS_MIN = 64;
/** Steps of more tokens are bounded by arithmetic, not by memory. */
const TOKENS_MAX = 1.1;
/** A change below this share is noise. */
const CHANGE_MIN = 0.03;
/** How full a local stage's cache is cannot be told: it must not matter, full or empty, by more than this share of what is read. */
const CACHE_SHARE_MAX = 0.05;

/** What one of this node's stages has shown: bytes read per step, and the milliseconds that took, the constant overhead not counted. */
interface Shown {
  readonly bytes: number;
  readonly ms: number;
  /** Streams may have shared the steps: the memory is at least so fast. */
  readonly atLeast: boolean;
  readonly contentId: ContentId;
}

/**
 * This node's device with the bandwidth that decoding has shown, or null where there is nothing new. By the planner's own formula turned
 * round, so that it foretells what was measured: (weights read per step + the cache read) ÷ (time at work − `overheadMs`, the
 * planner's constant per stage), from the stage of this node with the longest steps. What a person has set stays.
 */
export function calibratedDevice(state: DaemonState, overheadMs: number): DeviceInfo | null {
  const { device } = state.own;
  if (device.bandwidthSource === "flag") return null;
  const remote = allDeployments(state)
    .filter(({ view }) => view.state === "ready")
    .flatMap(({ view, contentId }) =>
      view.stages
        .filter((stage) => stage.node === state.self)
        .flatMap((stage) => timed(stage, view, overheadMs))
        .map((found) => ({ ...found, contentId })),
    );
  const local = [...state.deployments.values()].flatMap((deployment) => whollyLocal(state, deployment, overheadMs));
  const [shown] = [...remote, ...local].toSorted((a, b) => b.ms - a.ms);
  if (shown === undefined || shown.ms <= 0) return null;
  const bandwidth = Math.round(shown.bytes / (shown.ms / 1000));
  const known = device.bandwidthBytesPerSecond;
  if (shown.atLeast && bandwidth <= known) return null;
  const kind = kindOf(state, shown.contentId);
  const ofKind = kind === null ? known : (device.decoded?.find((entry) => entry.kind === kind)?.bytesPerSecond ?? 0);
  const isNear = (figure: number): boolean => Math.abs(bandwidth - figure) <= CHANGE_MIN * figure;
  if (device.bandwidthSource === "decode" && isNear(known) && isNear(ofKind)) return null;
  const decoded = kind === null ? {} : { decoded: withKind(device.decoded ?? [], { kind, bytesPerSecond: bandwidth }) };
  return { ...device, bandwidthBytesPerSecond: bandwidth, bandwidthSource: "decode", ...decoded };
}

/** The kinds of models decoded here, the latest first and no more than are told of. */
export function withKind(decoded: readonly DecodedBandwidth[], latest: DecodedBandwidth): readonly DecodedBandwidth[] {
  return [latest, ...decoded.filter(({ kind }) => kind !== latest.kind)].slice(0, DECODED_KINDS_MAX);
}

/** Null where no node that is known has the model. */
function kindOf(state: DaemonState, contentId: ContentId): string | null {
  const models = [state.own, ...[...state.others.values()].map(({ advert }) => advert)].flatMap((facts) => facts.models ?? []);
  const model = models.find((candidate) => candidate.contentId === contentId);
  return model === undefined ? null : modelKind(model);
}

/** A stage whose steps its own relay has timed. */
function timed(
  { timing, activeBytes, kvBytes }: StageView,
  { context, slots }: DeploymentView,
  overheadMs: number,
): readonly Omit<Shown, "contentId">[] {
  const good =
    timing !== null && timing.steps >= STEPS_MIN && timing.tokensPerStep < TOKENS_MAX && timing.computeMs.p50 >= STEP_MS_MIN;
  if (!good) return [];
  const perToken = context * slots > 0 ? kvBytes / (context * slots) : 0;
  const bytes = activeBytes + perToken * Math.min(context, timing.cacheTokens ?? 0);
  return [{ bytes, ms: timing.computeMs.p50 - overheadMs, atLeast: false }];
}

/**
 * A model that runs on this node alone: a step is one stage and the output. Only where its cache hardly counts beside its weights, and
 * nothing is guessed ahead. Of several slots it is not known how many ran at once.
 */
function whollyLocal(
  { self }: DaemonState,
  { placement, phase, measured, contentId }: HeadedDeployment,
  overheadMs: number,
): readonly Shown[] {
  const [stage] = placement.stages;
  const stepsPerSecond = measured?.stepsPerSecond ?? null;
  if (phase !== "ready" || stepsPerSecond === null || stage === undefined) return [];
  if (placement.stages.length > 1 || stage.node !== self || placement.speculation.type !== "off") return [];
  const { layers, outputBytes } = placement.model;
  const active = layers.reduce((sum, layer) => sum + layer.activeBytes, outputBytes);
  const fullCache = stage.kvBytes / placement.slots;
  const stepMs = 1000 / stepsPerSecond;
  if (fullCache > CACHE_SHARE_MAX * active || stepMs < STEP_MS_MIN) return [];
  return [{ bytes: active + fullCache / 2, ms: stepMs - overheadMs, atLeast: placement.slots > 1, contentId }];
}
