import type { HttpRefusal } from "../http-refusal.ts";
import type { JsonObject } from "../json-body.ts";

/** What of a request its response repeats. */
export type ResponseEcho = Readonly<
  Record<
    | "instructions"
    | "max_output_tokens"
    | "metadata"
    | "parallel_tool_calls"
    | "reasoning"
    | "temperature"
    | "text"
    | "tool_choice"
    | "tools"
    | "top_p"
    | "user",
    unknown
  >
>;

/** How far a response has come. */
export interface ResponseState {
  readonly id: string;
  readonly createdSeconds: number;
  readonly model: unknown;
  readonly status: "in_progress" | "completed" | "incomplete" | "failed";
  readonly output: readonly JsonObject[];
  readonly usage: JsonObject | null;
  readonly refusal?: HttpRefusal;
}

export function responseJson(echo: ResponseEcho, state: ResponseState): JsonObject {
  const { id, createdSeconds, model, status, output, usage, refusal } = state;
  return {
    id,
    object: "response",
    created_at: createdSeconds,
    ...(status === "completed" ? { completed_at: Math.floor(Date.now() / 1000) } : {}),
    status,
    background: false,
    error: refusal === undefined ? null : { code: "server_error", message: refusal.message },
    incomplete_details: status === "incomplete" ? { reason: "max_output_tokens" } : null,
    model,
    output,
    previous_response_id: null,
    // Nothing is kept: a later request has to bring the whole conversation.
    store: false,
    truncation: "disabled",
    ...echo,
    usage,
  };
}
