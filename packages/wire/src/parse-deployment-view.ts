import { amount, count, id, list, nullable, oneOf, record, text, words, type Check } from "./check.ts";
import type { DeploymentPhase, DeploymentView, StageView } from "./cluster-state.ts";
import type { ModelId, NodeId } from "./ids.ts";
import { ALIASES_MAX, ID_LENGTH_MAX, LAYERS_MAX, SENTENCE_LENGTH_MAX, SLOTS_MAX, STAGES_MAX, TITLE_LENGTH_MAX } from "./limits.ts";

const stage: Check<StageView> = record({
  node: id<NodeId>(ID_LENGTH_MAX),
  firstLayer: count(LAYERS_MAX),
  lastLayer: count(LAYERS_MAX),
  weightBytes: amount,
  kvBytes: amount,
  bufferBytes: amount,
  predictedMsPerToken: amount,
  measuredMsPerToken: nullable(amount),
  progress: amount,
});

export const checkDeploymentView: Check<DeploymentView> = record({
  model: id<ModelId>(TITLE_LENGTH_MAX),
  aliases: list(text(TITLE_LENGTH_MAX), ALIASES_MAX),
  state: oneOf<DeploymentPhase>("planning", "fetching", "loading", "ready", "recovering", "draining", "failed"),
  reason: nullable(words(SENTENCE_LENGTH_MAX)),
  epoch: count(),
  head: id<NodeId>(ID_LENGTH_MAX),
  context: count(),
  slots: count(SLOTS_MAX),
  layerCount: count(LAYERS_MAX),
  stages: list(stage, STAGES_MAX),
  predictedTokensPerSecond: amount,
  measuredTokensPerSecond: nullable(amount),
});
