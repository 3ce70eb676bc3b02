import type { JsonObject } from "../json-body.ts";
import { CONTENT_PARTS_MAX, MESSAGES_MAX } from "../limits.ts";
import { invalidField, listUpTo, objectAt, oneOf, textUpTo, unlimitedText, type FieldRule } from "./field-rules.ts";

const role = oneOf("system", "developer", "user", "assistant", "tool");
const NAME_LENGTH_MAX = 256;

/** Images come inside the request: the engine would fetch any other address, from inside the network. */
export function imagePart(url: unknown, param: string): unknown {
  if (!unlimitedText(url, param).startsWith("data:")) throw invalidField(param, "must be a data: URL; addresses are not fetched");
  return { type: "image_url", image_url: { url } };
}

export function audioPart(data: unknown, param: string): unknown {
  if (!/^[A-Za-z0-9+/=\s]*$/.test(unlimitedText(data, param))) throw invalidField(param, "must be base64");
  return { type: "input_audio", input_audio: { data } };
}

/** One part of a message. */
function contentPart(value: unknown, param: string): unknown {
  const part = objectAt(value, param);
  const { type } = part;
  const inside = (key: string): JsonObject => objectAt(part[key], `${param}.${key}`);
  if (type === "text") return { type, text: unlimitedText(part["text"], `${param}.text`) };
  if (type === "image_url") return imagePart(inside("image_url")["url"], `${param}.image_url.url`);
  if (type === "input_audio") return audioPart(inside("input_audio")["data"], `${param}.input_audio.data`);
  // What the assistant would not say is still what it said.
  if (type === "refusal") return { type: "text", text: unlimitedText(part["refusal"], `${param}.refusal`) };
  if (type === "file") throw invalidField(`${param}.type`, "is file: files are not read here; send their text");
  throw invalidField(`${param}.type`, "must be text, image_url, input_audio or refusal");
}

function content(value: unknown, param: string): unknown {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) throw invalidField(param, "must be a string or an array of parts");
  return listUpTo(CONTENT_PARTS_MAX)(value, param).map((part, at) => contentPart(part, `${param}[${at}]`));
}

function toolCall(value: unknown, param: string): unknown {
  const call = objectAt(value, param);
  const { name, arguments: given } = objectAt(call["function"], `${param}.function`);
  return {
    ...(call["id"] === undefined ? {} : { id: textUpTo(NAME_LENGTH_MAX)(call["id"], `${param}.id`) }),
    type: "function",
    function: {
      name: textUpTo(NAME_LENGTH_MAX)(name, `${param}.function.name`),
      arguments: unlimitedText(given, `${param}.function.arguments`),
    },
  };
}

function message(value: unknown, param: string): unknown {
  const given = objectAt(value, param);
  const from = role(given["role"], `${param}.role`);
  const calls = given["tool_calls"] ?? [];
  const out: Record<string, unknown> = { role: from };
  if (given["function_call"] !== undefined && given["function_call"] !== null)
    throw invalidField(`${param}.function_call`, "is not supported: use `tool_calls`");
  if (given["audio"] !== undefined && given["audio"] !== null)
    throw invalidField(`${param}.audio`, "is not supported: spoken answers are not kept here");
  const body = given["content"] ?? (from === "assistant" ? given["refusal"] : undefined);
  if (body !== undefined && body !== null) out["content"] = content(body, `${param}.content`);
  else if (from !== "assistant") throw invalidField(`${param}.content`, "is missing");
  if (from === "assistant") {
    const list = listUpTo(CONTENT_PARTS_MAX)(calls, `${param}.tool_calls`);
    if (list.length > 0) out["tool_calls"] = list.map((call, at) => toolCall(call, `${param}.tool_calls[${at}]`));
    else if (out["content"] === undefined) throw invalidField(`${param}.content`, "is missing");
    const reasoning = given["reasoning_content"] ?? undefined;
    if (reasoning !== undefined) out["reasoning_content"] = unlimitedText(reasoning, `${param}.reasoning_content`);
  }
  for (const name of ["name", "tool_call_id"]) {
    const value = given[name] ?? undefined;
    if (value !== undefined) out[name] = textUpTo(NAME_LENGTH_MAX)(value, `${param}.${name}`);
  }
  return out;
}

/** A conversation, its messages reduced to what the engine is meant to see. */
export const messages: FieldRule = (value, param) => {
  const list = listUpTo(MESSAGES_MAX)(value, param);
  if (list.length === 0) throw invalidField(param, "must not be empty");
  return list.map((item, at) => message(item, `${param}[${at}]`));
};
