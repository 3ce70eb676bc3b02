import type { JsonObject } from "../json-body.ts";
import { TOP_LOGPROBS_MAX } from "../limits.ts";
import { integerIn, pickFields, refused, type FieldRules } from "./field-rules.ts";
import { COMPLETION_FORM, choiceJobs, settleShared, type GenerationRequest } from "./generation-request.ts";
import { promptsOf } from "./prompt-field.ts";
import { SAMPLING_FIELDS, tokenLimit } from "./sampling-fields.ts";

const COMPLETION_FIELDS: FieldRules = {
  ...SAMPLING_FIELDS,
  max_tokens: tokenLimit(0),
  max_completion_tokens: tokenLimit(0),
  logprobs: (value, param) => Math.max(1, integerIn(0, TOP_LOGPROBS_MAX)(value, param)),
  best_of: refused("is not supported: ask for `n`", 1),
  suffix: refused("is not supported by this model"),
  echo: refused("is not supported"),
};

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
