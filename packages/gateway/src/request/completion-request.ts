import type { JsonObject } from "../json-body.ts";
import { PROMPTS_MAX, TOP_LOGPROBS_MAX } from "../limits.ts";
import { integerIn, invalidField, pickFields, refused, type FieldRules } from "./field-rules.ts";
import { COMPLETION_FORM, choiceJobs, settleShared, type GenerationRequest } from "./generation-request.ts";
import { SAMPLING_FIELDS, tokenLimit } from "./sampling-fields.ts";

const TOKEN_ID_MAX = 2 ** 31 - 1;

const COMPLETION_FIELDS: FieldRules = {
  ...SAMPLING_FIELDS,
  max_tokens: tokenLimit(0),
  max_completion_tokens: tokenLimit(0),
  logprobs: (value, param) => Math.max(1, integerIn(0, TOP_LOGPROBS_MAX)(value, param)),
  best_of: refused("is not supported: ask for `n`", 1),
  suffix: refused("is not supported by this model"),
  echo: refused("is not supported"),
};

type Prompt = string | readonly number[];

function isTokens(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.length > 0 && value.every((id) => Number.isInteger(id) && id >= 0 && id <= TOKEN_ID_MAX);
}

/** A text, token ids, or several of either. */
function promptsOf(value: unknown): readonly Prompt[] {
  if (value === undefined || value === null) throw invalidField("prompt", "is missing");
  if (typeof value === "string" || isTokens(value)) return [value];
  if (!Array.isArray(value) || value.length === 0 || value.length > PROMPTS_MAX) {
    throw invalidField("prompt", `must be a string, an array of token ids, or up to ${PROMPTS_MAX} of these`);
  }
  return value.map((item: unknown, at) => {
    if (typeof item === "string" || isTokens(item)) return item;
    throw invalidField(`prompt[${at}]`, "must be a string or an array of token ids");
  });
}

/** A body of `/v1/completions`, checked. */
export function completionRequest(body: JsonObject): GenerationRequest {
  const prompts = promptsOf(body["prompt"]).map((prompt) => ({ prompt }));
  const { fields, stream, includeUsage } = settleShared(pickFields(body, COMPLETION_FIELDS));
  return {
    path: "/v1/completions",
    promptParam: "prompt",
    form: COMPLETION_FORM,
    stream,
    includeUsage,
    jobs: choiceJobs(fields, body["n"], prompts),
  };
}
