import { amount, count, finite, flag, id, list, nullable, oneOf, record, sound, words, type Check } from "./check.ts";
import {
  CLUSTER_NODES_MAX,
  ID_LENGTH_MAX,
  LAYERS_MAX,
  NOTES_MAX,
  SENTENCE_LENGTH_MAX,
  SLOTS_MAX,
  STAGES_MAX,
  TITLE_LENGTH_MAX,
} from "./limits.ts";
import { OBJECTIVES, type Placement, type PlanCosts, type PlanStage } from "./plan.ts";

const node = id(ID_LENGTH_MAX);
const sentence = words(SENTENCE_LENGTH_MAX);

const stage: Check<PlanStage> = record({
  node,
  firstLayer: count(LAYERS_MAX),
  lastLayer: count(LAYERS_MAX),
  weightBytes: amount,
  kvBytes: amount,
  bufferBytes: amount,
  memoryBytes: amount,
  budgetBytes: amount,
  computeMs: amount,
  hopMs: amount,
});
const stages = list(stage, STAGES_MAX);

const costs: Check<PlanCosts> = record({
  stageOverheadMs: amount,
  contextTokensRead: amount,
  headBufferBytes: amount,
  workerBufferBytes: amount,
  workerBufferBytesPerLayer: amount,
});

const form: Check<Placement> = record({
  feasible: oneOf(true),
  objective: oneOf(...OBJECTIVES),
  head: node,
  context: count(),
  slots: count(SLOTS_MAX),
  kv: oneOf("f16", "q8_0", "q4_0"),
  model: record({
    name: words(TITLE_LENGTH_MAX),
    layerCount: count(LAYERS_MAX),
    layers: list(record({ weightBytes: amount, activeBytes: amount, kvBytesPerToken: amount }), LAYERS_MAX),
    inputBytes: amount,
    outputBytes: amount,
    hiddenBytes: amount,
  }),
  costs,
  stages,
  predicted: record({ msPerToken: amount, headMs: amount, tokensPerSecond: amount, low: amount, high: amount }),
  certificate: record({ optimal: flag, method: sentence, lowerBoundMsPerToken: finite, explored: count() }),
  runnerUp: nullable(record({ stages, msPerToken: amount })),
  unused: list(record({ node, why: sentence, msPerTokenIfUsed: nullable(amount) }), CLUSTER_NODES_MAX),
  notes: list(sentence, NOTES_MAX),
});

/** What is wrong with the stages as a whole: a head obeys only a pipeline that covers every layer once. */
function stagesProblem({ model, stages }: Placement): string | null {
  if (model.layers.length !== model.layerCount) return `${model.layers.length} layers are described, ${model.layerCount} announced`;
  let next = 0;
  for (const { node, firstLayer, lastLayer } of stages) {
    if (firstLayer !== next || lastLayer < firstLayer) return `the stage of ${node} has layers ${firstLayer}-${lastLayer} where layer ${next} is due`;
    next = lastLayer + 1;
  }
  return next === model.layerCount ? null : `the stages end before layer ${next} of ${model.layerCount}`;
}

export const checkPlacement: Check<Placement> = sound(form, stagesProblem);
