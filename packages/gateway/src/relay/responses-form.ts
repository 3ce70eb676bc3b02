import { isObject, type JsonObject } from "../json-body.ts";
import { createAnswerAssembly } from "./answer-assembly.ts";
import { SSE_TYPE, type AnswerForm } from "./answer-form.ts";
import { itemJson, logprobJson, newId, newItem, usageJson, type OutputItem } from "./response-items.ts";
import { responseJson, type ResponseEcho } from "./response-object.ts";
import { responsesWriter } from "./responses-writer.ts";

/** The Responses API over the engine's chats, which tell more than its own responses: why an answer ended, and log-probabilities. */
export function responsesForm(echo: ResponseEcho): AnswerForm {
  return {
    contentType: SSE_TYPE,
    writer: () => responsesWriter(echo),
    assembly: createAnswerAssembly,
    whole: (answer) => wholeResponse(echo, answer),
  };
}

function wholeResponse(echo: ResponseEcho, answer: JsonObject): JsonObject {
  const { choices, created, model, usage } = answer;
  const [choice] = Array.isArray(choices) ? choices.filter(isObject) : [];
  const message = isObject(choice?.["message"]) ? choice["message"] : {};
  const isCut = choice?.["finish_reason"] === "length";
  const items = itemsOf(message, choice?.["logprobs"]);
  return responseJson(echo, {
    id: newId("resp"),
    createdSeconds: typeof created === "number" ? created : Math.floor(Date.now() / 1000),
    model,
    status: isCut ? "incomplete" : "completed",
    output: items.map((item, at) => itemJson(item, isCut && at === items.length - 1 ? "incomplete" : "completed")),
    usage: usageJson(usage, 0),
  });
}

function itemsOf(message: JsonObject, logprobs: unknown): readonly OutputItem[] {
  const { reasoning_content: reasoning, content, tool_calls: calls } = message;
  const items: OutputItem[] = [];
  const add = (kind: OutputItem["kind"], text: string, call?: Parameters<typeof newItem>[1]): OutputItem => {
    const item = newItem(kind, call);
    item.parts.push(text);
    items.push(item);
    return item;
  };
  if (typeof reasoning === "string" && reasoning !== "") add("reasoning", reasoning);
  if (typeof content === "string" && content !== "") {
    const item = add("message", content);
    if (isObject(logprobs) && Array.isArray(logprobs["content"])) item.logprobs.push(...logprobs["content"].map(logprobJson));
  }
  for (const call of Array.isArray(calls) ? calls.filter(isObject) : []) {
    const called = isObject(call["function"]) ? call["function"] : {};
    const { name, arguments: given } = called;
    add("function_call", typeof given === "string" ? given : "", {
      ...(typeof name === "string" ? { name } : {}),
      ...(typeof call["id"] === "string" ? { callId: call["id"] } : {}),
    });
  }
  return items;
}
