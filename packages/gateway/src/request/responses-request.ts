import { ClusterdError } from "@clusterd/wire";
import { isObject, type JsonObject } from "../json-body.ts";
import { CONTENT_PARTS_MAX, TOOLS_MAX, TOP_LOGPROBS_MAX } from "../limits.ts";
import type { ResponseEcho } from "../relay/response-object.ts";
import { responsesForm } from "../relay/responses-form.ts";
import { CHAT_EXTRAS, settleLogprobs } from "./chat-request.ts";
import {
  flag,
  integerIn,
  invalidField,
  listUpTo,
  objectAt,
  oneOf,
  pickFields,
  refused,
  unlimitedText,
  type FieldRule,
  type FieldRules,
} from "./field-rules.ts";
import { settleShared, type GenerationRequest } from "./generation-request.ts";
import { responsesMessages } from "./responses-input.ts";
import { SAMPLING_FIELDS, tokenLimit } from "./sampling-fields.ts";
import { TOOL_FIELDS, settleToolChoice } from "./tool-fields.ts";

const LOGPROBS = "message.output_text.logprobs";
/** The reasoning itself is in its item: there is nothing to encrypt. */
const ENCRYPTED_REASONING = "reasoning.encrypted_content";

const include: FieldRule = (value, param) => {
  const wanted = listUpTo(CONTENT_PARTS_MAX)(value, param);
  for (const [at, item] of wanted.entries()) {
    if (item !== LOGPROBS && item !== ENCRYPTED_REASONING)
      throw invalidField(`${param}[${at}]`, `must be ${LOGPROBS} or ${ENCRYPTED_REASONING}: nothing else is there to include`);
  }
  return wanted.includes(LOGPROBS);
};

/** A function as chats have it: a level deeper. */
function chatTool(value: unknown, param: string): JsonObject {
  const { type, name, description, parameters } = objectAt(value, param);
  if (type !== "function") throw invalidField(`${param}.type`, "must be function: no other tools are run here");
  return { type, function: { name, description, parameters } };
}

const tools: FieldRule = (value, param) => listUpTo(TOOLS_MAX)(value, param).map((tool, at) => chatTool(tool, `${param}[${at}]`));

const toolChoice: FieldRule = (value, param) => {
  if (!isObject(value)) return value;
  if (value["type"] === "function") return { type: "function", function: { name: value["name"] } };
  if (value["type"] !== "allowed_tools") throw invalidField(`${param}.type`, "must be function or allowed_tools");
  const allowed = listUpTo(TOOLS_MAX)(value["tools"], `${param}.tools`);
  return {
    type: "allowed_tools",
    allowed_tools: {
      mode: value["mode"],
      tools: allowed.map((tool, at) => {
        const { type, name } = objectAt(tool, `${param}.tools[${at}]`);
        return { type, function: { name } };
      }),
    },
  };
};

const textRule: FieldRule = (value, param) => {
  const { format, verbosity } = objectAt(value, param);
  if (verbosity !== undefined && verbosity !== null && verbosity !== "medium")
    throw invalidField(`${param}.verbosity`, "is not supported: ask for it in the instructions");
  if (format === undefined || format === null) return undefined;
  const { type, schema } = objectAt(format, `${param}.format`);
  const rule = TOOL_FIELDS["response_format"];
  return rule?.(type === "json_schema" ? { type, json_schema: { schema } } : { type }, `${param}.format`);
};

const reasoning: FieldRule = (value, param) => {
  const { effort, summary, generate_summary: older } = objectAt(value, param);
  refused(
    "is not supported: the reasoning itself is given",
    null,
    undefined,
    "auto",
  )(summary ?? older ?? undefined, `${param}.summary`);
  return effort === undefined || effort === null ? undefined : CHAT_EXTRAS["reasoning_effort"]?.(effort, `${param}.effort`);
};

const stateless = "is not supported: answers are not kept; send the whole conversation with every request";

const RESPONSES_FIELDS: FieldRules = {
  ...SAMPLING_FIELDS,
  ...CHAT_EXTRAS,
  instructions: unlimitedText,
  max_output_tokens: tokenLimit(1),
  tools,
  tool_choice: toolChoice,
  parallel_tool_calls: flag,
  text: textRule,
  reasoning,
  include,
  top_logprobs: integerIn(0, TOP_LOGPROBS_MAX),
  store: refused(stateless),
  previous_response_id: refused(stateless),
  conversation: refused(stateless),
  background: refused("is not supported: keep the connection open"),
  prompt: refused("is not supported: templates are not kept here"),
  truncation: oneOf("disabled"),
  context_management: refused("is not supported: nothing is left out of a conversation here"),
  moderation: refused("is not supported"),
};

/** A body of `/v1/responses`, checked: what of it needs no memory of earlier ones, as a chat. */
export function responsesRequest(body: JsonObject): GenerationRequest {
  if (body["input"] === undefined || body["input"] === null) throw invalidField("input", "is missing");
  const {
    instructions,
    max_output_tokens: limit,
    text: format,
    reasoning: effort,
    include: withLogprobs,
    top_logprobs: top,
    ...picked
  } = pickFields(body, RESPONSES_FIELDS);
  const messages = responsesMessages(typeof instructions === "string" ? instructions : null, body["input"]);
  const { fields, stream } = settleShared({
    ...picked,
    ...checkedTools(picked),
    ...(limit === undefined ? {} : { max_tokens: limit }),
    ...(format === undefined ? {} : { response_format: format }),
    ...(effort === undefined ? {} : { reasoning_effort: effort }),
    ...(withLogprobs === true || (typeof top === "number" && top > 0) ? { logprobs: true, top_logprobs: top } : {}),
  });
  const echo = echoOf(body);
  return {
    path: "/v1/chat/completions",
    promptParam: "input",
    form: responsesForm(echo),
    variant: JSON.stringify(echo),
    stream,
    // The last event tells it, whether it is asked for or not.
    includeUsage: true,
    jobs: [{ index: 0, countsPrompt: true, body: { ...settleLogprobs(settleToolChoice(fields), stream), messages } }],
  };
}

/** Tools and choice by the rules of chats, where a function is a level deeper. */
function checkedTools(picked: JsonObject): JsonObject {
  const { tools: toolRule, tool_choice: choiceRule } = TOOL_FIELDS;
  return pickFields(picked, { tools: named(toolRule), tool_choice: named(choiceRule) });
}

function named(rule: FieldRule | undefined): FieldRule {
  return (value, param) => {
    try {
      return rule?.(value, param);
    } catch (error) {
      if (!(error instanceof ClusterdError) || error.param === undefined) throw error;
      const own = error.param.replace(/\.function|\.allowed_tools/g, "");
      throw new ClusterdError(error.code, error.message.replaceAll(error.param, own), { param: own });
    }
  };
}

/** Of a request what its answer repeats. */
function echoOf(body: JsonObject): ResponseEcho {
  const given = (key: string): unknown => body[key] ?? null;
  const text = isObject(body["text"]) ? body["text"] : {};
  const thought = isObject(body["reasoning"]) ? body["reasoning"] : {};
  return {
    instructions: given("instructions"),
    max_output_tokens: given("max_output_tokens"),
    metadata: isObject(body["metadata"]) ? body["metadata"] : {},
    parallel_tool_calls: body["parallel_tool_calls"] ?? true,
    reasoning: { effort: thought["effort"] ?? null, summary: null },
    temperature: given("temperature"),
    text: { ...text, format: text["format"] ?? { type: "text" } },
    tool_choice: body["tool_choice"] ?? "auto",
    tools: body["tools"] ?? [],
    top_p: given("top_p"),
    user: given("user"),
  };
}
