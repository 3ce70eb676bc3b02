import type { JsonObject } from "../json-body.ts";
import { TOP_LOGPROBS_MAX } from "../limits.ts";
import {
  flag,
  integerIn,
  invalidField,
  objectAt,
  oneOf,
  pickFields,
  refused,
  type FieldRule,
  type FieldRules,
} from "./field-rules.ts";
import { COMPLETION_FORM, choiceJobs, settleShared, type GenerationRequest } from "./generation-request.ts";
import { messages } from "./message-fields.ts";
import { SAMPLING_FIELDS, tokenLimit } from "./sampling-fields.ts";
import { TOOL_FIELDS, settleToolChoice } from "./tool-fields.ts";

const TEMPLATE_VALUES_MAX = 32;
const TEMPLATE_TEXT_MAX = 1_024;
const BUDGET_MAX = 2 ** 31 - 1;

/** Switches of the model's own chat template, e.g. `enable_thinking`: plain values only. */
const templateValues: FieldRule = (value, param) => {
  const entries = Object.entries(objectAt(value, param));
  if (entries.length > TEMPLATE_VALUES_MAX) throw invalidField(param, `must not have more than ${TEMPLATE_VALUES_MAX} entries`);
  for (const [key, item] of entries) {
    const plain =
      typeof item === "boolean" || typeof item === "number" || (typeof item === "string" && item.length <= TEMPLATE_TEXT_MAX);
    if (!plain) throw invalidField(`${param}.${key}`, "must be a boolean, a number or a short string");
    if (key === "enable_thinking") flag(item, `${param}.${key}`);
  }
  return value;
};

const modalities: FieldRule = (value, param) => {
  if (Array.isArray(value) && value.every((item) => item === "text")) return undefined;
  throw invalidField(param, "must be text alone: no other kind of answer can be given");
};

/** Fields of this engine's own, and of reasoning, that every API of chats may use. */
export const CHAT_EXTRAS: FieldRules = {
  reasoning_effort: oneOf("none", "minimal", "low", "medium", "high", "xhigh", "max"),
  reasoning_format: oneOf("none", "auto", "deepseek", "deepseek-legacy"),
  reasoning_budget_tokens: integerIn(-1, BUDGET_MAX),
  chat_template_kwargs: templateValues,
};

/**
 * Every field of a chat that means something here. Those left out are dropped without a word: they are either bookkeeping of
 * the provider (user, metadata, store, service_tier, prompt_cache_key, …) or no field of this API.
 */
const CHAT_FIELDS: FieldRules = {
  ...SAMPLING_FIELDS,
  ...TOOL_FIELDS,
  messages,
  max_tokens: tokenLimit(1),
  max_completion_tokens: tokenLimit(1),
  logprobs: flag,
  top_logprobs: integerIn(0, TOP_LOGPROBS_MAX),
  ...CHAT_EXTRAS,
  modalities,
  functions: refused("is not supported: use `tools`"),
  function_call: refused("is not supported: use `tool_choice`", "none", "auto"),
  audio: refused("is not supported: answers are text"),
  web_search_options: refused("is not supported: nothing is searched"),
  verbosity: refused("is not supported: ask for it in the messages", "medium"),
  moderation: refused("is not supported: nothing is moderated"),
};

/** The engine lists no tokens at all for 0 alternatives, so at least one is asked for. */
export function settleLogprobs(fields: JsonObject, stream: boolean): Record<string, unknown> {
  const { logprobs, top_logprobs: top, ...others } = fields;
  if (logprobs !== true) {
    if (typeof top === "number" && top > 0) throw invalidField("top_logprobs", "needs `logprobs` to be true");
    return others;
  }
  if (stream && others["tools"] !== undefined) throw invalidField("logprobs", "cannot be given for a stream with `tools`");
  return { ...others, logprobs: true, top_logprobs: Math.max(1, typeof top === "number" ? top : 0) };
}

/** A body of `/v1/chat/completions`, checked. */
export function chatRequest(body: JsonObject): GenerationRequest {
  if (body["messages"] === undefined || body["messages"] === null) throw invalidField("messages", "is missing");
  const picked = pickFields(body, CHAT_FIELDS);
  const { fields: shared, stream, includeUsage } = settleShared(picked);
  const { messages: conversation, ...fields } = settleLogprobs(settleToolChoice(shared), stream);
  return {
    path: "/v1/chat/completions",
    promptParam: "messages",
    form: COMPLETION_FORM,
    stream,
    includeUsage,
    jobs: choiceJobs(fields, body["n"], [{ messages: conversation }]),
  };
}
