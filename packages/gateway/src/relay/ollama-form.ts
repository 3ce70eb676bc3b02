import { ClusterdError } from "@clusterd/wire";
import { ollamaError } from "../error-shape.ts";
import { isObject, type JsonObject } from "../json-body.ts";
import { createAnswerAssembly } from "./answer-assembly.ts";
import type { AnswerForm } from "./answer-form.ts";
import { objectIn } from "./call-arguments.ts";
import { chatDelta, timingsOf, type EngineTimings } from "./chat-delta.ts";
import { eventJson } from "./engine-events.ts";
import { createOllamaLines } from "./ollama-lines.ts";
import { logprobsOf, pieceOf, type OllamaFormOptions, type Piece } from "./ollama-pieces.ts";

export const NDJSON_TYPE = "application/x-ndjson; charset=utf-8";

/** Answers as Ollama gives them, made of the engine's chat or text completions: a line of JSON for every piece. */
export function ollamaForm(options: OllamaFormOptions): AnswerForm {
  const sinceMs = performance.now();
  const shared = (): JsonObject => ({ model: options.model, created_at: new Date().toISOString() });
  return {
    contentType: NDJSON_TYPE,
    writer() {
      const lines = createOllamaLines(options);
      const encode = (line: JsonObject): string => `${JSON.stringify({ ...shared(), ...line })}\n`;
      return {
        event(event) {
          const json = eventJson(event);
          const made = isObject(json) ? lines.add(chatDelta(json)) : [];
          return made.length === 0 ? null : Buffer.from(made.map(encode).join(""));
        },
        waiting: (text) => Buffer.from(encode({ ...pieceOf(options.kind, {}), done: false, status: text })),
        // There are no comments in lines of JSON: a piece without text says the same.
        comment: () => Buffer.from(encode({ ...pieceOf(options.kind, {}), done: false })),
        failed: (refusal) => Buffer.from(`${ollamaError(refusal)}\n`),
        end() {
          const { calls, finish, timings } = lines.end();
          return Buffer.from(
            [...calls, lastOf(options.kind, {}, finish, ollamaDurations(sinceMs, timings))].map(encode).join(""),
          );
        },
      };
    },
    assembly: createAnswerAssembly,
    whole: (answer) => ({ ...shared(), ...wholeOf(answer, options, sinceMs) }),
  };
}

function lastOf(kind: OllamaFormOptions["kind"], piece: Piece, finish: unknown, durations: JsonObject): JsonObject {
  return { ...pieceOf(kind, piece), done: true, done_reason: finish === "length" ? "length" : "stop", ...durations };
}

/**
 * What an answer took, in nanoseconds. `load_duration` is what the engine did not work on it: the wait for the model, or for a turn.
 */
export function ollamaDurations(sinceMs: number, timings: EngineTimings | null): JsonObject {
  const totalMs = performance.now() - sinceMs;
  const { promptMs = 0, answerMs = 0, cachedTokens = 0, promptTokens = 0, answerTokens = 0 } = timings ?? {};
  const waitedMs = timings === null ? 0 : Math.max(0, totalMs - promptMs - answerMs);
  const ns = (ms: number): number => Math.round(ms * 1e6);
  return {
    total_duration: ns(totalMs),
    load_duration: ns(waitedMs),
    prompt_eval_count: cachedTokens + promptTokens,
    prompt_eval_duration: ns(promptMs),
    eval_count: answerTokens,
    eval_duration: ns(answerMs),
  };
}

function wholeOf(answer: JsonObject, { kind, alternatives }: OllamaFormOptions, sinceMs: number): JsonObject {
  const [choice] = Array.isArray(answer["choices"]) ? (answer["choices"] as readonly unknown[]) : [];
  if (!isObject(choice)) throw new ClusterdError("engine_crashed", "The engine gave no answer.");
  const message = isObject(choice["message"]) ? choice["message"] : { content: choice["text"] };
  const { content, reasoning_content: thinking, tool_calls: calls } = message;
  const piece = {
    content: typeof content === "string" ? content : "",
    thinking: typeof thinking === "string" ? thinking : "",
    toolCalls: Array.isArray(calls) ? calls.filter(isObject).map(toolCallOf) : [],
  };
  const told = isObject(choice["logprobs"]) ? logprobsOf(choice["logprobs"]["content"], alternatives) : [];
  return {
    ...lastOf(kind, piece, choice["finish_reason"], ollamaDurations(sinceMs, timingsOf(answer))),
    ...(told.length === 0 ? {} : { logprobs: told }),
  };
}

function toolCallOf(call: JsonObject, index: number): JsonObject {
  const { name, arguments: text } = isObject(call["function"]) ? call["function"] : {};
  return { id: call["id"], function: { index, name, arguments: objectIn(text) } };
}
