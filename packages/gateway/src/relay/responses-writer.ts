import type { HttpRefusal } from "../http-refusal.ts";
import { errorBody } from "../http-refusal.ts";
import { isObject, type JsonObject } from "../json-body.ts";
import type { StreamWriter } from "./answer-form.ts";
import { eventJson } from "./engine-events.ts";
import { itemJson, logprobJson, newId, newItem, partJson, usageJson, type OutputItem } from "./response-items.ts";
import { responseJson, type ResponseEcho, type ResponseState } from "./response-object.ts";

/** Names of what is said of an item's text. */
const TEXT_EVENTS: Readonly<Record<OutputItem["kind"], string>> = {
  reasoning: "response.reasoning_text",
  message: "response.output_text",
  function_call: "response.function_call_arguments",
};

/**
 * Writes a chat's stream as the typed events of a response: items are opened and closed as the answer passes from reasoning to words to
 * calls, and every event has its number.
 */
export function responsesWriter(echo: ResponseEcho): StreamWriter {
  const id = newId("resp");
  const createdSeconds = Math.floor(Date.now() / 1000);
  const done: JsonObject[] = [];
  let model: unknown = null;
  let usage: unknown = null;
  let isCut = false;
  let begun = false;
  let open: OutputItem | null = null;
  let openCall: unknown = null;
  let sequence = 0;
  let reasoningChunks = 0;
  let lines: string[] = [];

  const say = (type: string, fields: JsonObject): void => {
    const data = { type, sequence_number: sequence, ...fields };
    sequence += 1;
    lines.push(`event: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
  };
  const taken = (): Uint8Array | null => {
    const text = lines.join("");
    lines = [];
    return text === "" ? null : Buffer.from(text);
  };
  const response = (status: ResponseState["status"], refusal?: HttpRefusal): JsonObject =>
    responseJson(echo, {
      ...{ id, createdSeconds, model, status, output: done },
      usage: status === "in_progress" ? null : usageJson(usage, reasoningChunks),
      ...(refusal === undefined ? {} : { refusal }),
    });
  const place = (item: OutputItem): JsonObject => ({
    item_id: item.id,
    output_index: done.length,
    ...(item.kind === "function_call" ? {} : { content_index: 0 }),
  });

  function begin(): void {
    if (begun) return;
    begun = true;
    say("response.created", { response: response("in_progress") });
    say("response.in_progress", { response: response("in_progress") });
  }

  function openItem(item: OutputItem): OutputItem {
    close("completed");
    open = item;
    say("response.output_item.added", { output_index: done.length, item: itemJson(item, "in_progress") });
    if (item.kind !== "function_call") say("response.content_part.added", { ...place(item), part: partJson(item) });
    return item;
  }

  function close(status: "completed" | "incomplete"): void {
    if (open === null) return;
    const item = open;
    open = null;
    openCall = null;
    const text = item.parts.join("");
    const [field, more] = item.kind === "function_call" ? ["arguments", { name: item.name }] : ["text", {}];
    const logprobs = item.kind === "message" ? { logprobs: item.logprobs } : {};
    say(`${TEXT_EVENTS[item.kind]}.done`, { ...place(item), [field]: text, ...more, ...logprobs });
    if (item.kind !== "function_call") say("response.content_part.done", { ...place(item), part: partJson(item) });
    const json = itemJson(item, status);
    say("response.output_item.done", { output_index: done.length, item: json });
    done.push(json);
  }

  function grow(item: OutputItem, delta: string, logprobs: readonly unknown[] = []): void {
    item.parts.push(delta);
    for (const one of logprobs) item.logprobs.push(one);
    say(`${TEXT_EVENTS[item.kind]}.delta`, { ...place(item), delta, ...(item.kind === "message" ? { logprobs } : {}) });
  }

  function addText(kind: "reasoning" | "message", delta: unknown, logprobs: readonly unknown[]): void {
    if (typeof delta !== "string" || delta === "") return;
    if (kind === "reasoning") reasoningChunks += 1;
    grow(open?.kind === kind ? open : openItem(newItem(kind)), delta, kind === "message" ? logprobs : []);
  }

  function addCall(call: unknown): void {
    if (!isObject(call)) return;
    const { index = 0, id: callId, function: called } = call;
    const { name, arguments: delta } = isObject(called) ? called : {};
    if (open?.kind !== "function_call" || openCall !== index) {
      openItem(
        newItem("function_call", {
          ...(typeof name === "string" ? { name } : {}),
          ...(typeof callId === "string" && callId !== "" ? { callId } : {}),
        }),
      );
      openCall = index;
    }
    if (open !== null && typeof delta === "string" && delta !== "") grow(open, delta);
  }

  function chunk(json: JsonObject): void {
    model = json["model"] ?? model;
    usage = json["usage"] ?? usage;
    begin();
    const { choices } = json;
    const [choice] = Array.isArray(choices) ? choices.filter(isObject) : [];
    if (choice === undefined) return;
    if (choice["finish_reason"] === "length") isCut = true;
    const { delta, logprobs } = choice;
    if (!isObject(delta)) return;
    const listed = isObject(logprobs) && Array.isArray(logprobs["content"]) ? logprobs["content"].map(logprobJson) : [];
    addText("reasoning", delta["reasoning_content"], []);
    addText("message", delta["content"], listed);
    if (Array.isArray(delta["tool_calls"])) delta["tool_calls"].forEach(addCall);
  }

  return {
    event(event) {
      const json = eventJson(event);
      if (isObject(json)) chunk(json);
      return taken();
    },
    waiting: (text) => Buffer.from(`: ${text}\n\n`),
    failed(refusal) {
      begin();
      close("incomplete");
      say("response.failed", { response: response("failed", refusal) });
      // The same as everywhere else, for readers of either form.
      const { error } = JSON.parse(errorBody(refusal)) as { error: JsonObject };
      say("error", { code: refusal.code, message: refusal.message, param: refusal.param, error });
      return taken() ?? Buffer.alloc(0);
    },
    end() {
      begin();
      close(isCut ? "incomplete" : "completed");
      const status = isCut ? "incomplete" : "completed";
      say(`response.${status}`, { response: response(status) });
      return taken();
    },
  };
}
