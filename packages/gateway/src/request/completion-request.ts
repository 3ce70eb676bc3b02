import { ClusterdError } from "@clusterd/wire";
import type { Route } from "../backend.ts";
import type { JsonObject } from "../json-body.ts";
import { SUFFIX_LENGTH_MAX, TOP_LOGPROBS_MAX } from "../limits.ts";
import { textForm } from "../relay/text-form.ts";
import { textChoice } from "../relay/text-choice.ts";
import { flag, integerIn, invalidField, pickFields, textUpTo, type FieldRules } from "./field-rules.ts";
import { choiceJobs, settleShared, type ChoiceJob, type GenerationRequest } from "./generation-request.ts";
import { promptsOf, type Prompt } from "./prompt-field.ts";
import { SAMPLING_FIELDS, tokenLimit } from "./sampling-fields.ts";

const COMPLETION_FIELDS: FieldRules = {
  ...SAMPLING_FIELDS,
  max_tokens: tokenLimit(0),
  max_completion_tokens: tokenLimit(0),
  logprobs: integerIn(0, TOP_LOGPROBS_MAX),
  best_of: integerIn(1, TOP_LOGPROBS_MAX),
  suffix: textUpTo(SUFFIX_LENGTH_MAX),
  echo: flag,
};

/** A body of `/v1/completions`, checked. */
export function completionRequest(body: JsonObject): GenerationRequest {
  const prompts = promptsOf(body["prompt"]);
  const { fields, stream, includeUsage } = settleShared(pickFields(body, COMPLETION_FIELDS));
  const { logprobs, best_of: bestOf, suffix = "", echo = false, ...others } = fields;
  const alternatives = typeof logprobs === "number" ? logprobs : null;
  // The engine lists no tokens at all for 0 alternatives.
  const asked = alternatives === null ? others : { ...others, logprobs: Math.max(1, alternatives) };
  const jobs = choiceJobs(
    asked,
    body["n"],
    prompts.map((prompt) => ({ prompt })),
  );
  checkBestOf(bestOf, jobs.length / prompts.length);
  if (echo === true) checkEcho(prompts, alternatives);
  const isPlain = echo !== true && alternatives === null;
  const reshaped = (job: ChoiceJob): ChoiceJob => {
    const { prompt } = job.body;
    return { ...job, reshape: () => textChoice({ echo: echo === true ? String(prompt) : "", alternatives }) };
  };
  const request: GenerationRequest = {
    path: "/v1/completions",
    promptParam: "prompt",
    variant: JSON.stringify([suffix, echo, alternatives]),
    form: textForm(includeUsage),
    stream,
    includeUsage,
    jobs: isPlain ? jobs : jobs.map(reshaped),
  };
  return suffix === "" ? request : { ...request, forRoute: (route) => filled(request, String(suffix), route) };
}

/** Of several texts the best would have to be chosen, by likelihoods that the engine does not sum up. */
function checkBestOf(bestOf: unknown, n: number): void {
  if (typeof bestOf === "number" && bestOf !== n)
    throw invalidField("best_of", `must be as large as \`n\`, which is ${n}: every choice is given`);
}

function checkEcho(prompts: readonly Prompt[], alternatives: number | null): void {
  if (alternatives !== null)
    throw invalidField("logprobs", "cannot be given with `echo`: the engine does not tell those of a prompt");
  if (prompts.some((prompt) => typeof prompt !== "string")) throw invalidField("echo", "needs prompts of text, not of token ids");
}

/**
 * The same request with a gap to fill between prompt and suffix: the marks the model was trained with, around both. The engine's own
 * `/infill` would cut prefixes and suffixes short that do not fit a batch.
 */
function filled(request: GenerationRequest, suffix: string, { model, infill }: Route): GenerationRequest {
  if (infill === undefined || infill === null) {
    throw new ClusterdError("unsupported", `${model} cannot fill a gap before a suffix: its vocabulary has no marks for that.`, {
      param: "suffix",
    });
  }
  const { prefix, suffix: mark, middle, begin } = infill;
  const around = (prompt: Prompt): readonly unknown[] => [
    ...(begin === null ? [] : [begin]),
    prefix,
    ...(typeof prompt === "string" ? [prompt] : prompt),
    ...[mark, suffix, middle],
  ];
  return {
    ...request,
    jobs: request.jobs.map((job) => ({ ...job, body: { ...job.body, prompt: around(job.body["prompt"] as Prompt) } })),
  };
}
