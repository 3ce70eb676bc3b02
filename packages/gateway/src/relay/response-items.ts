import { randomUUID } from "node:crypto";
import { isObject, type JsonObject } from "../json-body.ts";

/** An item of a response's output, as far as it has come. */
export interface OutputItem {
  readonly id: string;
  readonly kind: "reasoning" | "message" | "function_call";
  /** Its text, or a call's arguments, piece by piece. */
  readonly parts: string[];
  readonly logprobs: unknown[];
  /** Of a call. */
  readonly name: string;
  readonly callId: string;
}

const PREFIX = { reasoning: "rs", message: "msg", function_call: "fc" } as const;

export const newId = (prefix: string): string => `${prefix}_${randomUUID().replaceAll("-", "")}`;

export function newItem(kind: OutputItem["kind"], call: { readonly name?: string; readonly callId?: string } = {}): OutputItem {
  const { name = "", callId = newId("call") } = call;
  return { id: newId(PREFIX[kind]), kind, parts: [], logprobs: [], name, callId };
}

/** The one part of an item with content. */
export function partJson({ kind, parts, logprobs }: OutputItem): JsonObject {
  const text = parts.join("");
  return kind === "reasoning" ? { type: "reasoning_text", text } : { type: "output_text", text, annotations: [], logprobs };
}

/** The item as the API has it: in progress it is still empty. */
export function itemJson(item: OutputItem, status: "in_progress" | "completed" | "incomplete"): JsonObject {
  const { id, kind } = item;
  const empty = status === "in_progress";
  if (kind === "function_call")
    return { id, type: kind, status, call_id: item.callId, name: item.name, arguments: empty ? "" : item.parts.join("") };
  const content = empty ? [] : [partJson(item)];
  return kind === "reasoning"
    ? { id, type: kind, status, summary: [], content }
    : { id, type: kind, status, role: "assistant", content };
}

/** A log-probability of a chat as responses have it: the engine's token ids are left out. */
export function logprobJson(value: unknown): unknown {
  if (!isObject(value)) return value;
  const plain = (item: unknown): unknown =>
    isObject(item) ? { token: item["token"], bytes: item["bytes"] ?? null, logprob: item["logprob"] } : item;
  const { top_logprobs: top } = value;
  return { ...(plain(value) as JsonObject), top_logprobs: Array.isArray(top) ? top.map(plain) : [] };
}

/** A chat's count of tokens as responses have it. */
export function usageJson(usage: unknown, reasoningTokens: number): JsonObject | null {
  if (!isObject(usage)) return null;
  const { prompt_tokens: input, completion_tokens: output, total_tokens: total, prompt_tokens_details: details } = usage;
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: isObject(details) ? (details["cached_tokens"] ?? 0) : 0 },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: total,
  };
}
