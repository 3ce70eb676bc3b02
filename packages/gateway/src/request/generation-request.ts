import type { Route } from "../backend.ts";
import type { JsonObject } from "../json-body.ts";
import { errorBody } from "../http-refusal.ts";
import { completionForm, type AnswerForm } from "../relay/answer-form.ts";
import { CHOICES_MAX, NAME_TEXT_MAX, N_MAX } from "../limits.ts";
import { integerIn, invalidField, textUpTo } from "./field-rules.ts";

/** One choice to generate: a request for one answer of the engine. */
export interface ChoiceJob {
  /** Its place among the choices of the answer. */
  readonly index: number;
  readonly body: Readonly<Record<string, unknown>>;
  /** Whether its prompt is to be counted: of several choices for one prompt, only the first's is. */
  readonly countsPrompt: boolean;
  /** Makes what changes every chunk of its stream, where the engine's are not what was asked for. */
  readonly reshape?: () => (chunk: JsonObject) => JsonObject;
}

/** A checked request for generated text. */
export interface GenerationRequest {
  /** Of the engine. */
  readonly path: string;
  /** The field that holds the prompt, to name where it is too long. */
  readonly promptParam: string;
  /** Absent: text. What does not stream from the engine is waited for whole. */
  readonly makes?: "text" | "embeddings";
  /** The API it was asked for in. */
  readonly form: AnswerForm;
  /** What its form depends on besides the jobs, for answers that are given again. */
  readonly variant?: string;
  readonly stream: boolean;
  /** How long what requests have loaded stays idle after this one, in seconds; null: always; absent: as it is. */
  readonly keepAliveSeconds?: number | null;
  /** How long it waits for a model that loads, by the custom of its API's clients, in seconds; absent: a moment, or as a stream does. */
  readonly waitSeconds?: number;
  readonly includeUsage: boolean;
  readonly jobs: readonly ChoiceJob[];
  /** The request as one deployment's engine takes it, where that depends on its model; throws where that cannot do it. */
  readonly forRoute?: (route: Route) => GenerationRequest;
}

/** The form of OpenAI's own completions. */
export const COMPLETION_FORM: AnswerForm = completionForm(errorBody);

/** The model that a request names. */
export function modelOf(body: JsonObject): string {
  const { model } = body;
  if (model === undefined || model === null || model === "") throw invalidField("model", "is missing");
  return textUpTo(NAME_TEXT_MAX)(model, "model");
}

/**
 * One job per choice. The engine makes several choices at once only where it has as many slots, and counts the tokens of one:
 * so each choice is asked for by itself, a given seed growing by one from choice to choice as the engine itself does it.
 */
export function choiceJobs(fields: JsonObject, n: unknown, prompts: readonly JsonObject[]): readonly ChoiceJob[] {
  const perPrompt = n === undefined || n === null ? 1 : integerIn(1, N_MAX)(n, "n");
  if (perPrompt * prompts.length > CHOICES_MAX)
    throw invalidField("n", `must not ask for more than ${CHOICES_MAX} choices over all prompts`);
  const { seed } = fields;
  return prompts.flatMap((prompt, promptIndex) =>
    Array.from({ length: perPrompt }, (_, choice) => ({
      index: promptIndex * perPrompt + choice,
      countsPrompt: choice === 0,
      body: { ...fields, ...prompt, ...(typeof seed === "number" ? { seed: (seed + choice) % 2 ** 32 } : {}) },
    })),
  );
}

/** Where both limits are given, the newer name holds. `stream_options` mean something for streams only. */
export function settleShared(fields: JsonObject): {
  readonly fields: Record<string, unknown>;
  readonly stream: boolean;
  readonly includeUsage: boolean;
} {
  const { max_completion_tokens: newer, max_tokens: older, stream_options: options, stream, ...others } = fields;
  const limit = newer ?? older;
  return {
    fields: { ...others, ...(limit === undefined ? {} : { max_tokens: limit }) },
    stream: stream === true,
    includeUsage: stream === true && (options as { include_usage?: boolean } | undefined)?.include_usage === true,
  };
}
