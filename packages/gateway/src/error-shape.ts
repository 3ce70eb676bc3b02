import { anthropicError } from "./anthropic-error.ts";
import { errorBody, type HttpRefusal } from "./http-refusal.ts";

const ANTHROPIC_HEADER = "anthropic-version";

/** Whether a request is one of Anthropic's API: some of its paths are also OpenAI's, and its clients say which they mean. */
export function isAnthropic(headers: Headers, path: string): boolean {
  return path.startsWith("/v1/messages") || (path.startsWith("/v1/") && headers.has(ANTHROPIC_HEADER));
}

/** A refusal as the API of a request tells its clients. */
export function errorText({ headers }: Request, path: string, refusal: HttpRefusal, requestId: string | null): string {
  if (isAnthropic(headers, path)) return anthropicError(refusal, requestId);
  if (path.startsWith("/api/")) return ollamaError(refusal);
  // The numbers of a refusal are for clusterd's own tools; OpenAI's clients get the shape they know.
  return errorBody(refusal, { details: path.startsWith("/cluster/") });
}

export function ollamaError({ message }: HttpRefusal): string {
  return JSON.stringify({ error: message });
}
