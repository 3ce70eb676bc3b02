import { ClusterdError } from "@clusterd/wire";
import { isObject, type JsonObject } from "../json-body.ts";
import { ANSWER_LENGTH_MAX } from "../limits.ts";
import { joinTextLogprobs } from "./text-choice.ts";

interface ToolCall {
  readonly id: unknown;
  readonly name: string;
  readonly parts: string[];
}

export interface AnswerAssembly {
  /** Takes the next chunk of a stream with one choice. */
  add(chunk: JsonObject): void;
  /** The answer as it would have come without streaming; throws where no choice has come to its end. */
  answer(): JsonObject;
}

/**
 * Puts an engine's stream together to the answer it would have given at once. Asking for a stream is what makes the engine
 * notice that nobody waits any more: of an answer that comes at once it looks for its client only in moments in which no
 * other request gets a token.
 */
export function createAnswerAssembly(): AnswerAssembly {
  const content: string[] = [];
  const reasoning: string[] = [];
  const text: string[] = [];
  const logprobs: unknown[] = [];
  const textLogprobs: JsonObject[] = [];
  const calls: ToolCall[] = [];
  let shared: JsonObject | null = null;
  let counted: Record<string, unknown> = {};
  let finish: unknown = null;
  let hasLogprobs = false;
  let length = 0;

  const keep = (parts: string[], part: unknown): void => {
    if (typeof part !== "string" || part === "") return;
    length += part.length;
    if (length > ANSWER_LENGTH_MAX)
      throw new ClusterdError("failed", `The answer is longer than ${ANSWER_LENGTH_MAX} characters.`);
    parts.push(part);
  };

  const addCall = (delta: unknown): void => {
    if (!isObject(delta) || !isObject(delta["function"])) return;
    const { name, arguments: part } = delta["function"];
    const index = typeof delta["index"] === "number" ? delta["index"] : calls.length;
    calls[index] ??= { id: delta["id"], name: typeof name === "string" ? name : "", parts: [] };
    keep(calls[index].parts, part);
  };

  const addChoice = (choice: JsonObject): void => {
    finish = choice["finish_reason"] ?? finish;
    keep(text, choice["text"]);
    if (isObject(choice["logprobs"]) && Array.isArray(choice["logprobs"]["tokens"])) textLogprobs.push(choice["logprobs"]);
    else if (isObject(choice["logprobs"]) && Array.isArray(choice["logprobs"]["content"])) {
      hasLogprobs = true;
      for (const item of choice["logprobs"]["content"]) logprobs.push(item);
    }
    const { delta } = choice;
    if (!isObject(delta)) return;
    keep(content, delta["content"]);
    keep(reasoning, delta["reasoning_content"]);
    if (Array.isArray(delta["tool_calls"])) delta["tool_calls"].forEach(addCall);
  };

  const message = (): JsonObject => ({
    role: "assistant",
    content: content.length === 0 && calls.length > 0 ? null : content.join(""),
    ...(reasoning.length === 0 ? {} : { reasoning_content: reasoning.join("") }),
    ...(calls.length === 0
      ? {}
      : {
          tool_calls: calls.map(({ id, name, parts }) => ({
            id,
            type: "function",
            function: { name, arguments: parts.join("") },
          })),
        }),
  });

  return {
    add(chunk) {
      const { choices, usage, timings, ...others } = chunk;
      shared ??= others;
      counted = { ...counted, ...(usage === undefined ? {} : { usage }), ...(timings === undefined ? {} : { timings }) };
      const [choice] = Array.isArray(choices) ? (choices as readonly unknown[]) : [];
      if (isObject(choice)) addChoice(choice);
    },
    answer() {
      if (shared === null || finish === null) throw new ClusterdError("engine_crashed", "The engine's answer has no end.");
      const chat = shared["object"] === "chat.completion.chunk";
      const probabilities = hasLogprobs
        ? { logprobs: { content: logprobs } }
        : chat
          ? {}
          : { logprobs: joinTextLogprobs(textLogprobs) };
      const said = chat ? { message: message() } : { text: text.join("") };
      return {
        ...shared,
        object: chat ? "chat.completion" : "text_completion",
        choices: [{ index: 0, ...said, ...probabilities, finish_reason: finish }],
        ...counted,
      };
    },
  };
}
