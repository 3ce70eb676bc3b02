import { CONTENT_PARTS_MAX, MESSAGES_MAX } from "../limits.ts";
import { invalidField, listUpTo, objectAt, oneOf, textUpTo, type FieldRule } from "./field-rules.ts";

const role = oneOf("system", "developer", "user", "assistant", "tool");
const NAME_LENGTH_MAX = 256;
const MEDIA_FIELDS: Readonly<Record<string, { readonly key: string; readonly field: string }>> = {
  image_url: { key: "image_url", field: "url" },
  input_audio: { key: "input_audio", field: "data" },
};

function text(value: unknown, param: string): string {
  return textUpTo(Number.MAX_SAFE_INTEGER)(value, param);
}

/** One part of a message. Media come inside the request: the engine would fetch any other address, from inside the network. */
function contentPart(value: unknown, param: string): unknown {
  const part = objectAt(value, param);
  const { type } = part;
  if (type === "text") return { type, text: text(part["text"], `${param}.text`) };
  const media = typeof type === "string" && Object.hasOwn(MEDIA_FIELDS, type) ? MEDIA_FIELDS[type] : undefined;
  if (media === undefined) throw invalidField(`${param}.type`, "must be text, image_url or input_audio");
  const data = text(objectAt(part[media.key], `${param}.${media.key}`)[media.field], `${param}.${media.key}.${media.field}`);
  if (type === "image_url" && !data.startsWith("data:")) {
    throw invalidField(`${param}.image_url.url`, "must be a data: URL; addresses are not fetched");
  }
  if (type === "input_audio" && !/^[A-Za-z0-9+/=\s]*$/.test(data))
    throw invalidField(`${param}.input_audio.data`, "must be base64");
  return { type, [media.key]: { [media.field]: data } };
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
      arguments: text(given, `${param}.function.arguments`),
    },
  };
}

function message(value: unknown, param: string): unknown {
  const given = objectAt(value, param);
  const from = role(given["role"], `${param}.role`);
  const calls = given["tool_calls"] ?? [];
  const out: Record<string, unknown> = { role: from };
  const body = given["content"];
  if (body !== undefined && body !== null) out["content"] = content(body, `${param}.content`);
  else if (from !== "assistant") throw invalidField(`${param}.content`, "is missing");
  if (from === "assistant") {
    const list = listUpTo(CONTENT_PARTS_MAX)(calls, `${param}.tool_calls`);
    if (list.length > 0) out["tool_calls"] = list.map((call, at) => toolCall(call, `${param}.tool_calls[${at}]`));
    else if (out["content"] === undefined) throw invalidField(`${param}.content`, "is missing");
    const reasoning = given["reasoning_content"] ?? undefined;
    if (reasoning !== undefined) out["reasoning_content"] = text(reasoning, `${param}.reasoning_content`);
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
