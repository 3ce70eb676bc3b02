import type { JsonObject } from "../../json-body.ts";
import { ollamaForm } from "../../relay/ollama-form.ts";
import { settleLogprobs } from "../chat-request.ts";
import { invalidField } from "../field-rules.ts";
import { modelOf, type GenerationRequest } from "../generation-request.ts";
import { TOOL_FIELDS, settleToolChoice } from "../tool-fields.ts";
import { ollamaMessages } from "./ollama-messages.ts";
import { alternativesOf, formatFields, sharedFields, thinkFields, type SharedFields } from "./shared-fields.ts";

export interface OllamaChat {
  readonly messages: readonly JsonObject[];
  readonly fields: JsonObject;
  readonly alternatives: number | null;
  readonly kind: "chat" | "generate";
  /** The field that holds the prompt. */
  readonly promptParam: string;
}

/** A body of `/api/chat`, checked. */
export function ollamaChatRequest(body: JsonObject): GenerationRequest {
  const messages = ollamaMessages(body["messages"] ?? [], "messages");
  if (messages.length === 0) throw invalidField("messages", "must not be empty");
  const shared = sharedFields(body);
  const tools = TOOL_FIELDS["tools"]?.(body["tools"] ?? [], "tools");
  const fields = { ...formatFields(body["format"]), ...thinkFields(body["think"]), ...(tools === undefined ? {} : { tools }) };
  const alternatives = alternativesOf(body);
  return chatOf(body, shared, { messages, fields, alternatives, kind: "chat", promptParam: "messages" });
}

/** A chat of the engine's, whichever of Ollama's ways it was asked for in. */
export function chatOf(body: JsonObject, shared: SharedFields, chat: OllamaChat): GenerationRequest {
  const { stream, keepAliveSeconds, checkRoute } = shared;
  const { messages, alternatives, kind, promptParam } = chat;
  const model = modelOf(body);
  const wish = alternatives === null ? {} : { logprobs: true, top_logprobs: alternatives };
  const settled = settleLogprobs(settleToolChoice({ ...shared.fields, ...chat.fields, ...wish }), stream);
  const request: GenerationRequest = {
    path: "/v1/chat/completions",
    promptParam,
    form: ollamaForm({ kind, model, alternatives: alternatives ?? 0 }),
    variant: model,
    stream,
    ...(keepAliveSeconds === undefined ? {} : { keepAliveSeconds }),
    includeUsage: true,
    jobs: [{ index: 0, countsPrompt: true, body: { ...settled, messages } }],
  };
  return withContext(request, checkRoute);
}

/** The same, refused where its deployment has too little context for it. */
export function withContext(request: GenerationRequest, checkRoute: SharedFields["checkRoute"]): GenerationRequest {
  if (checkRoute === null) return request;
  return {
    ...request,
    forRoute(route) {
      checkRoute(route);
      return request.forRoute?.(route) ?? request;
    },
  };
}
