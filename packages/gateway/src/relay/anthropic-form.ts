import { ClusterdError } from "@clusterd/wire";
import { anthropicError } from "../anthropic-error.ts";
import { isObject, type JsonObject } from "../json-body.ts";
import { createAnswerAssembly } from "./answer-assembly.ts";
import { SSE_TYPE, type AnswerForm } from "./answer-form.ts";
import { objectIn } from "./call-arguments.ts";
import { chatDelta, stopStringOf, timingsOf } from "./chat-delta.ts";
import { eventJson } from "./engine-events.ts";
import { SIGNATURE, createMessageEvents, messageUsage, stopOf, type MessageEvent, type MessageWishes } from "./message-events.ts";

export interface MessageFormOptions extends MessageWishes {
  readonly requestId: string | null;
}

/** Answers as Anthropic's Messages API gives them, made of the engine's chat completions. */
export function messageForm(options: MessageFormOptions): AnswerForm {
  const { requestId } = options;
  const id = `msg_${crypto.randomUUID().replaceAll("-", "")}`;
  return {
    contentType: SSE_TYPE,
    writer() {
      const events = createMessageEvents(id, options);
      return {
        event(event) {
          const json = eventJson(event);
          return isObject(json) ? encode(events.add(chatDelta(json))) : null;
        },
        waiting: (text) => Buffer.from(`: ${text}\n${eventText({ type: "ping" })}`),
        comment: () => Buffer.from(eventText({ type: "ping" })),
        failed: (refusal) => Buffer.from(`event: error\ndata: ${anthropicError(refusal, requestId)}\n\n`),
        end: () => encode(events.end()),
      };
    },
    assembly() {
      const assembly = createAnswerAssembly();
      let told: unknown;
      return {
        add(chunk) {
          told = chunk["__verbose"] ?? told;
          assembly.add(chunk);
        },
        answer: () => ({ ...assembly.answer(), __verbose: told }),
      };
    },
    whole: (answer) => wholeMessage(id, answer, options),
  };
}

function eventText(event: MessageEvent): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

function encode(events: readonly MessageEvent[]): Buffer | null {
  return events.length === 0 ? null : Buffer.from(events.map(eventText).join(""));
}

function wholeMessage(id: string, answer: JsonObject, options: MessageFormOptions): JsonObject {
  const [choice] = Array.isArray(answer["choices"]) ? (answer["choices"] as readonly unknown[]) : [];
  if (!isObject(choice) || !isObject(choice["message"])) throw new ClusterdError("engine_crashed", "The engine gave no answer.");
  const timings = timingsOf(answer);
  const ending = { finish: choice["finish_reason"], stopString: stopStringOf(answer), timings };
  return {
    id,
    type: "message",
    role: "assistant",
    model: answer["model"] ?? options.model,
    content: blocksOf(choice["message"], options.hideThinking),
    ...stopOf(ending, options),
    usage: messageUsage(timings),
  };
}

function blocksOf(message: JsonObject, hideThinking: boolean): readonly JsonObject[] {
  const { reasoning_content: thinking, content: text, tool_calls: calls } = message;
  return [
    ...(isText(thinking) ? [{ type: "thinking", thinking: hideThinking ? "" : thinking, signature: SIGNATURE }] : []),
    ...(isText(text) ? [{ type: "text", text }] : []),
    ...(Array.isArray(calls) ? calls.filter(isObject).map(toolUse) : []),
  ];
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function toolUse(call: JsonObject): JsonObject {
  const { name, arguments: text } = isObject(call["function"]) ? call["function"] : {};
  return { type: "tool_use", id: call["id"], name, input: objectIn(text) };
}
