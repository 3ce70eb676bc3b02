import { isObject, type JsonObject } from "../json-body.ts";

/** A piece of a call of a tool: `id` and `name` come with its first piece. */
export interface CallDelta {
  readonly index: number;
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
}

/** What a chunk of a chat or text completion adds to its answer. Absent text is empty. */
export interface ChatDelta {
  /** Of the engine's own word. */
  readonly model: string | null;
  readonly reasoning: string;
  readonly content: string;
  readonly calls: readonly CallDelta[];
  /** Of its tokens, as the engine tells them; absent where it was not asked for them. */
  readonly logprobs?: unknown;
  /** `stop`, `length` or `tool_calls`, with the last piece. */
  readonly finish: string | null;
  readonly timings: EngineTimings | null;
  /** The string at which the engine stopped, where it was asked to tell. */
  readonly stopString: string | null;
}

/** The engine's own measure of an answer so far: tokens, and milliseconds. */
export interface EngineTimings {
  readonly cachedTokens: number;
  readonly promptTokens: number;
  readonly promptMs: number;
  readonly answerTokens: number;
  readonly answerMs: number;
}

/** Reads a chunk of a stream with one choice. */
export function chatDelta(chunk: JsonObject): ChatDelta {
  const [choice] = Array.isArray(chunk["choices"]) ? (chunk["choices"] as readonly unknown[]) : [];
  const { finish_reason: finish, delta, text: completed, logprobs } = isObject(choice) ? choice : {};
  const { reasoning_content: reasoning, content, tool_calls: calls } = isObject(delta) ? delta : {};
  return {
    model: typeof chunk["model"] === "string" ? chunk["model"] : null,
    reasoning: text(reasoning),
    content: text(completed) + text(content),
    calls: Array.isArray(calls) ? calls.filter(isObject).map(callDelta) : [],
    ...(isObject(logprobs) ? { logprobs: logprobs["content"] } : {}),
    finish: typeof finish === "string" ? finish : null,
    timings: timingsOf(chunk),
    stopString: stopStringOf(chunk),
  };
}

function callDelta(call: JsonObject, at: number): CallDelta {
  const { name, arguments: part } = isObject(call["function"]) ? call["function"] : {};
  const { index, id } = call;
  return { index: typeof index === "number" ? index : at, id: text(id), name: text(name), arguments: text(part) };
}

/** The measure that a chunk or a whole answer bears; null where it bears none. An engine elsewhere may count tokens alone. */
export function timingsOf({ timings, usage }: JsonObject): EngineTimings | null {
  if (!isObject(timings)) return isObject(usage) ? countOf(usage) : null;
  return {
    cachedTokens: positive(timings["cache_n"]),
    promptTokens: positive(timings["prompt_n"]),
    promptMs: positive(timings["prompt_ms"]),
    answerTokens: positive(timings["predicted_n"]),
    answerMs: positive(timings["predicted_ms"]),
  };
}

function countOf({
  prompt_tokens: prompt,
  completion_tokens: answer,
  prompt_tokens_details: details,
}: JsonObject): EngineTimings {
  const cachedTokens = isObject(details) ? positive(details["cached_tokens"]) : 0;
  return {
    cachedTokens,
    promptTokens: Math.max(0, positive(prompt) - cachedTokens),
    promptMs: 0,
    answerTokens: positive(answer),
    answerMs: 0,
  };
}

/** What makes the engine tell at which string it stopped: all it can tell would be the whole prompt. */
export const TELL_STOP_STRING: JsonObject = { verbose: true, response_fields: ["stopping_word"] };

export function stopStringOf({ __verbose: told }: JsonObject): string | null {
  const word = isObject(told) ? told["stopping_word"] : undefined;
  return typeof word === "string" && word !== "" ? word : null;
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function positive(value: unknown): number {
  return typeof value === "number" && value > 0 ? value : 0;
}
