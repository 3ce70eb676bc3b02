import type { HttpRefusal } from "./http-refusal.ts";

const TYPES: Readonly<Record<number, string>> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  503: "overloaded_error",
  504: "timeout_error",
};

/** A refusal as Anthropic's clients know it. Their own code for what happened goes where they look for it. */
export function anthropicError(refusal: HttpRefusal, requestId: string | null): string {
  const type = TYPES[refusal.status] ?? (refusal.status >= 500 && refusal.status !== 501 ? "api_error" : "invalid_request_error");
  const error = { type, message: messageOf(refusal), details: { error_code: refusal.code } };
  return JSON.stringify({ type: "error", error, ...(requestId === null ? {} : { request_id: requestId }) });
}

/** Agents look for these words to know that they must shorten the conversation. */
function messageOf({ code, message, details = {} }: HttpRefusal): string {
  const { promptTokens, contextTokens } = details;
  if (code !== "context_length_exceeded" || typeof promptTokens !== "number" || typeof contextTokens !== "number") return message;
  return `prompt is too long: ${promptTokens} tokens > ${contextTokens} maximum. ${message}`;
}
