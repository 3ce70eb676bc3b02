import { isObject } from "../json-body.ts";
import type { EngineRequest } from "../backend.ts";
import type { EngineScript } from "./fake-backend.ts";

const encoder = new TextEncoder();

/** How a scripted stream goes on after the text it is given. */
export type StreamEnding = "done" | "silent end" | "reset" | "hang" | "garble" | "engine error";

export interface ScriptedStream {
  readonly tokens: readonly string[];
  readonly ending?: StreamEnding;
  /** What the body fails with on `reset`. */
  readonly error?: Error;
}

function chunk(content: string | null, finish: string | null = null): string {
  const choices = [{ finish_reason: finish, index: 0, delta: content === null ? {} : { content } }];
  return `data: ${JSON.stringify({ choices, created: 1, id: "chatcmpl-x", model: "demo-16l-q8_0", object: "chat.completion.chunk" })}\n\n`;
}

function last(tokens: number): string {
  const usage = { completion_tokens: tokens, prompt_tokens: 7, total_tokens: tokens + 7 };
  const timings = { cache_n: 2, prompt_n: 5, predicted_n: tokens };
  return `data: ${JSON.stringify({ choices: [], created: 1, id: "chatcmpl-x", model: "demo-16l-q8_0", usage, timings })}\n\n`;
}

/** An SSE answer as llama-server gives it, with the ending that a test wants. */
export function streamAnswer({ tokens, ending = "done", error }: ScriptedStream, onCancel?: () => void): Response {
  const events = tokens.map((token) => chunk(token));
  if (ending === "done") events.push(chunk(null, "stop"), last(tokens.length), "data: [DONE]\n\n");
  if (ending === "garble") events.push("HTTP/1.1 200 OK\r\nwhat is this\n\n");
  if (ending === "engine error") events.push(`data: {"error":{"code":500,"message":"Compute error.","type":"server_error"}}\n\n`);
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      // As from a socket: other work gets its turn between two events.
      await new Promise((resolve) => setImmediate(resolve));
      const next = events.shift();
      if (next !== undefined) controller.enqueue(encoder.encode(next));
      else if (ending === "reset") controller.error(error ?? new Error("socket hang up"));
      else if (ending === "hang") await new Promise(() => {});
      else controller.close();
    },
    cancel: () => onCancel?.(),
  });
  return new Response(body, {
    headers: { "content-type": "text/event-stream", "access-control-allow-origin": "https://evil.example", server: "llama.cpp" },
  });
}

/** A text completion's stream as llama-server gives it, its odd first event included. */
export function completionAnswer(parts: readonly string[]): Response {
  const shared = { created: 1, model: "demo-16l-q8_0", object: "text_completion", id: "chatcmpl-x" };
  const chunks = parts.map((text) => ({ choices: [{ text, index: 0, logprobs: null, finish_reason: null }], ...shared }));
  const usage = { completion_tokens: parts.length, prompt_tokens: 2, total_tokens: parts.length + 2 };
  const end = { choices: [{ text: "", index: 0, logprobs: null, finish_reason: "stop" }], ...shared, usage };
  const events = ["null", ...[...chunks, end].map((event) => JSON.stringify(event)), "[DONE]"];
  return new Response(events.map((event) => `data: ${event}\n\n`).join(""), { headers: { "content-type": "text/event-stream" } });
}

export function engineBody(request: EngineRequest): Record<string, unknown> {
  const body: unknown = JSON.parse(request.body ?? "null");
  if (!isObject(body)) throw new Error("the engine was sent no object");
  return { ...body };
}

/** An engine that answers as asked, streaming or not. */
export function wellBehaved(tokens: readonly string[]): EngineScript {
  return ({ path }) => (path === "/v1/completions" ? completionAnswer(tokens) : streamAnswer({ tokens }));
}

export function errorAnswer(status: number, error: Readonly<Record<string, unknown>>): Response {
  return Response.json({ error }, { status });
}
