import {
  ClusterdError,
  VOCABULARY_CHUNK_TOKENS,
  type ModelProfile,
  type PlannedSpeculation,
  type PlanRequest,
  type SpeculationType,
  type Vocabulary,
} from "@clusterd/wire";
import type { CostModel } from "./cost.ts";

/** Tokens by which a draft's vocabulary may be longer or shorter than the model's, the rest being the same (as in llama.cpp). */
const SIZE_DIFFERENCE_MAX = 128;

/**
 * Whose layers for later tokens llama.cpp v0.5.0 computes (those with a `graph_mtp` or the like; of others it loads none, or would stop), and how
 * many of them at most: where it uses the first alone, it stops at more than one.
 */
const NEXT_TOKENS: ReadonlyMap<string, number> = new Map<string, number>([
  ...["bailingmoe3", "cohere2moe", "deepseek2", "deepseek32", "deepseek4", "glm-dsa", "glm4moe"].map(
    (name) => [name, 1] as const,
  ),
  ...["nemotron_h_moe", "qwen35", "qwen35moe", "qwen3next"].map((name) => [name, 1] as const),
  ...["hy_v3", "mimo2", "step35"].map((name) => [name, Infinity] as const),
]);

/** Why a model's own layers cannot guess for it, as a sentence, or null. */
export function guessingProblem({ id, architecture, layers, nextTokenLayers }: ModelProfile): string | null {
  if (nextTokenLayers === 0) return `${id} has no layers for multi-token prediction`;
  // Files are also made without them, their header unchanged.
  if (layers.slice(-nextTokenLayers).some(({ weightBytes }) => weightBytes === 0))
    return `The file of ${id} was made without its layers for multi-token prediction`;
  const most = NEXT_TOKENS.get(architecture) ?? 0;
  if (most === 0) return `The engine does not compute the layers for multi-token prediction of a ${architecture}`;
  return nextTokenLayers > most
    ? `The engine computes ${most} layer for multi-token prediction of a ${architecture}, not ${nextTokenLayers}`
    : null;
}

/** How a request's deployment speculates. Throws `invalid_request` where it asks for two things at once, `unsupported` for what cannot be. */
export function chosenSpeculation(request: PlanRequest): SpeculationType {
  const { model, draft, speculation: wish = "auto" } = request;
  if (draft !== undefined && wish !== "auto" && wish !== "draft") {
    throw new ClusterdError("invalid_request", `A draft model is of no use to speculation ${wish}.`, {
      next: "Leave out --draft or --speculation.",
      param: "draft",
    });
  }
  if (wish === "draft" && draft === undefined) {
    throw new ClusterdError("invalid_request", "Speculation by a draft model needs one.", {
      next: "Name a small model of the same family with --draft REF.",
      param: "draft",
    });
  }
  const problem = wish === "mtp" ? guessingProblem(model) : null;
  if (problem !== null) {
    throw new ClusterdError("unsupported", `${problem}.`, {
      next: "Use --speculation ngram, or name a draft model with --draft REF.",
      param: "speculation",
    });
  }
  if ((model.embedding ?? null) !== null) {
    if (draft === undefined && (wish === "auto" || wish === "off")) return "off";
    throw new ClusterdError("unsupported", `${model.id} makes embeddings; there is nothing to guess ahead.`, {
      param: draft === undefined ? "speculation" : "draft",
    });
  }
  if (draft === undefined) return wish === "auto" ? "ngram" : wish;
  const difference = vocabularyDifference(model.vocabulary, draft.vocabulary);
  if (difference === null) return "draft";
  throw new ClusterdError(
    "unsupported",
    `${draft.id} cannot draft for ${model.id}: ${difference}. Its guesses would be other words to the model.`,
    { next: "Take a draft model of the same family.", param: "draft" },
  );
}

/** What keeps tokens of one vocabulary from meaning the same in another, in words, or null. */
export function vocabularyDifference(model: Vocabulary | null, draft: Vocabulary | null): string | null {
  if (model === null || draft === null) return "a file names no vocabulary";
  if (model.kind !== draft.kind) return `their tokenizers are ${model.kind} and ${draft.kind}`;
  if (Math.abs(model.size - draft.size) > SIZE_DIFFERENCE_MAX)
    return `their vocabularies have ${model.size} and ${draft.size} tokens`;
  const differ = (a: number | null, b: number | null): boolean => a !== null && b !== null && a !== b;
  if (differ(model.beginId, draft.beginId) || differ(model.endId, draft.endId))
    return "their texts begin or end with different tokens";
  // Of two sizes, what lies behind the last common digest is left for the engine to compare.
  const chunks = Math.floor(Math.min(model.size, draft.size) / VOCABULARY_CHUNK_TOKENS);
  const common = model.size === draft.size ? model.digests.length - 1 : chunks - 1;
  return common >= 0 && model.digests[common] !== draft.digests[common] ? "their vocabularies differ" : null;
}

export function plannedSpeculation(type: SpeculationType, draft: ModelProfile | undefined, cost: CostModel): PlannedSpeculation {
  return {
    type,
    draft: draft === undefined ? null : { model: draft.id, contentId: draft.contentId, memoryBytes: cost.draftBytes },
  };
}
