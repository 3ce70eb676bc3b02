import { isObject, type JsonObject } from "../../json-body.ts";
import { messageForm } from "../../relay/anthropic-form.ts";
import { TELL_STOP_STRING } from "../../relay/chat-delta.ts";
import {
  flag,
  invalidField,
  listUpTo,
  objectAt,
  oneOf,
  pickFields,
  refused,
  type FieldRule,
  type FieldRules,
} from "../field-rules.ts";
import { modelOf, type GenerationRequest } from "../generation-request.ts";
import { boundedSchema } from "../json-schema-bounds.ts";
import { SAMPLING_FIELDS, tokenLimit } from "../sampling-fields.ts";
import { settleToolChoice } from "../tool-fields.ts";
import { systemText } from "./content-blocks.ts";
import { conversation } from "./conversation.ts";
import { offeredTools, toolChoice } from "./offered-tools.ts";
import { thinkingWish } from "./thinking-wish.ts";

const { temperature, top_p, top_k, stop } = SAMPLING_FIELDS as Record<"temperature" | "top_p" | "top_k" | "stop", FieldRule>;
const EDITS_MAX = 16;

const effort = oneOf("low", "medium", "high", "xhigh", "max");

/** How hard the model is to think, as templates know it, and the shape of its answer. */
function outputConfig(value: unknown, param: string): JsonObject {
  const { effort: wish, format } = objectAt(value, param);
  const level = wish === undefined || wish === null ? null : effort(wish, `${param}.effort`);
  return {
    ...(level === null ? {} : { reasoning_effort: level === "xhigh" || level === "max" ? "high" : level }),
    ...(format === undefined || format === null ? {} : { response_format: outputFormat(format, `${param}.format`) }),
  };
}

function outputFormat(value: unknown, param: string): JsonObject {
  const { type, schema } = objectAt(value, param);
  if (type !== "json_schema") throw invalidField(`${param}.type`, "must be json_schema");
  return { type, json_schema: { schema: boundedSchema(schema, `${param}.schema`) } };
}

/** Which thinking of earlier turns is shown again is the template's business; nothing else is ever left out of a prompt. */
const contextManagement: FieldRule = (value, param) => {
  const { edits = [] } = objectAt(value, param);
  for (const [at, edit] of listUpTo(EDITS_MAX)(edits ?? [], `${param}.edits`).entries()) {
    const type = isObject(edit) ? edit["type"] : undefined;
    if (typeof type !== "string" || !type.startsWith("clear_thinking_")) {
      throw invalidField(`${param}.edits[${at}]`, "is not supported: a prompt is never shortened here");
    }
  }
  return undefined;
};

/**
 * Every field that means something here. Those left out are dropped without a word: bookkeeping of the provider (metadata,
 * cache_control, service_tier, inference_geo, speed, …), or no field of this API.
 */
const FIELDS: FieldRules = {
  messages: conversation,
  system: systemText,
  max_tokens: tokenLimit(0),
  stream: flag,
  stop_sequences: (value, param) => stop(listUpTo(Number.MAX_SAFE_INTEGER)(value, param), param),
  temperature,
  top_p,
  top_k,
  tools: offeredTools,
  tool_choice: toolChoice,
  output_config: outputConfig,
  container: refused("is not supported: nothing is run here"),
  mcp_servers: refused("is not supported: the client talks to such servers itself"),
  context_management: contextManagement,
  output_format: outputFormat,
};

interface CheckedMessages {
  readonly messages?: readonly JsonObject[];
  readonly system?: string;
  readonly max_tokens?: number;
  readonly stream?: boolean;
  readonly stop_sequences?: readonly string[];
  readonly tools?: readonly JsonObject[];
  readonly tool_choice?: JsonObject;
  readonly output_config?: JsonObject;
  readonly output_format?: JsonObject;
}

/** A body of `/v1/messages` as a request for a chat, checked. */
export function messagesRequest(body: JsonObject, requestId: string | null): GenerationRequest {
  const thinking = thinkingWish(body["thinking"], "thinking");
  const { messages, system, stream = false, stop_sequences: stops = [], ...others } = pickFields(body, FIELDS) as CheckedMessages;
  if (messages === undefined) throw invalidField("messages", "is missing");
  const { tools, tool_choice: choice, output_config: output = {}, output_format: format, ...sampling } = others;
  const chat = settleToolChoice({
    ...thinking.fields,
    ...sampling,
    ...(format === undefined ? {} : { response_format: format }),
    ...output,
    ...(tools === undefined ? {} : { tools }),
    ...choice,
    ...(stops.length === 0 ? {} : { stop: stops, ...TELL_STOP_STRING }),
    // With its first piece an answer tells how long its prompt was.
    ...(stream ? { timings_per_token: true } : {}),
  });
  const prompt = system === undefined || system === "" ? messages : [{ role: "system", content: system }, ...messages];
  return {
    path: "/v1/chat/completions",
    promptParam: "messages",
    form: messageForm({
      model: modelOf(body),
      requestId,
      stopSequences: stops,
      maxTokens: sampling.max_tokens ?? null,
      hideThinking: thinking.hide,
    }),
    variant: thinking.hide ? "hidden" : "",
    stream,
    includeUsage: true,
    jobs: [{ index: 0, countsPrompt: true, body: { ...chat, messages: prompt } }],
  };
}
