import type { PlanRequest, PlanResult } from "@clusterd/wire";
import { guessingProblem } from "./speculation.ts";

/**
 * Where nothing else is asked for, a model that has layers for later tokens guesses with them: they know the text, n-grams only what it
 * repeats, and whether they pay is measured. But not at the price of a context shorter than `usualContext` or of no place at all: they and
 * their cache lie on the head. With images their cache would miss what the model saw.
 */
export function withOwnLayers(
  request: PlanRequest,
  usualContext: number,
  planAs: (request: PlanRequest) => PlanResult,
): PlanResult {
  const { model, draft, context, speculation = "auto" } = request;
  const isAsked = speculation !== "auto" || draft !== undefined;
  if (isAsked || guessingProblem(model) !== null || (model.projector ?? null) !== null) return planAs(request);
  const guessing = planAs({ ...request, speculation: "mtp" });
  if (guessing.feasible && (context !== undefined || guessing.context >= usualContext)) return guessing;
  const plain = planAs({ ...request, speculation: "ngram" });
  if (!plain.feasible) return plain;
  return { ...plain, notes: [...plain.notes, `The head has no room for ${model.id}'s layers for multi-token prediction.`] };
}
