import { isObject, type JsonObject } from "../../json-body.ts";
import { CONTENT_PARTS_MAX, MESSAGES_MAX } from "../../limits.ts";
import { invalidField, listUpTo, objectAt, oneOf, textUpTo } from "../field-rules.ts";

const role = oneOf("system", "user", "assistant", "tool");
const name = textUpTo(256);
/** Calls that wait for their results: what comes later is looked for among these. */
const OPEN_CALLS_MAX = 1_024;
const BASE64 = /^[A-Za-z0-9+/=\s]+$/;

export function textAt(value: unknown, param: string): string {
  if (value === undefined || value === null) return "";
  if (typeof value !== "string") throw invalidField(param, "must be a string");
  return value;
}

/** Images as parts of a message. What kind each is the engine sees in its first bytes. */
export function imageParts(value: unknown, param: string): readonly JsonObject[] {
  if (value === undefined || value === null) return [];
  return listUpTo(CONTENT_PARTS_MAX)(value, param).map((image, at) => {
    if (typeof image !== "string" || !BASE64.test(image)) throw invalidField(`${param}[${at}]`, "must be an image in base64");
    return { type: "image_url", image_url: { url: `data:image/png;base64,${image}` } };
  });
}

export function userContent(text: string, images: readonly JsonObject[]): unknown {
  if (images.length === 0) return text;
  return [...(text === "" ? [] : [{ type: "text", text }]), ...images];
}

/** Ollama's messages as a chat's: calls of tools get the ids that Ollama does without, their results the same ones. */
export function ollamaMessages(value: unknown, param: string): readonly JsonObject[] {
  const list = listUpTo(MESSAGES_MAX)(value, param);
  const open: { readonly id: string; readonly name: string }[] = [];
  let calls = 0;

  const toolCall = (item: unknown, at: string): JsonObject => {
    const call = objectAt(item, at);
    const { name: called, arguments: given = {} } = objectAt(call["function"], `${at}.function`);
    const text = typeof given === "string" ? given : isObject(given) ? JSON.stringify(given) : null;
    if (text === null) throw invalidField(`${at}.function.arguments`, "must be an object");
    calls += 1;
    const { id: givenId } = call;
    const id = typeof givenId === "string" && givenId !== "" ? name(givenId, `${at}.id`) : `call_${calls}`;
    const checked = name(called, `${at}.function.name`);
    open.push({ id, name: checked });
    if (open.length > OPEN_CALLS_MAX) open.shift();
    return { id, type: "function", function: { name: checked, arguments: text } };
  };

  /** The call a result is of: by its id, by the name of its tool, else the first without a result. */
  const answered = (message: JsonObject, at: string): string => {
    const { tool_call_id: id, tool_name: tool } = message;
    if (typeof id === "string" && id !== "") return name(id, `${at}.tool_call_id`);
    const found = open.findIndex((call) => call.name === tool);
    const [call] = open.splice(Math.max(0, found), 1);
    return call?.id ?? "call_0";
  };

  return list.map((item, index) => {
    const at = `${param}[${index}]`;
    const message = objectAt(item, at);
    const from = role(message["role"], `${at}.role`);
    const content = textAt(message["content"], `${at}.content`);
    if (from === "tool") {
      const tool = textAt(message["tool_name"], `${at}.tool_name`);
      return { role: from, content, tool_call_id: answered(message, at), ...(tool === "" ? {} : { name: name(tool, at) }) };
    }
    if (from !== "assistant") return { role: from, content: userContent(content, imageParts(message["images"], `${at}.images`)) };
    const made = listUpTo(CONTENT_PARTS_MAX)(message["tool_calls"] ?? [], `${at}.tool_calls`);
    const thinking = textAt(message["thinking"], `${at}.thinking`);
    return {
      role: from,
      content,
      ...(thinking === "" ? {} : { reasoning_content: thinking }),
      ...(made.length === 0 ? {} : { tool_calls: made.map((call, n) => toolCall(call, `${at}.tool_calls[${n}]`)) }),
    };
  });
}
