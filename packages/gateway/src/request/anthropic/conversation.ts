import { isObject, type JsonObject } from "../../json-body.ts";
import { MESSAGES_MAX } from "../../limits.ts";
import { flag, invalidField, listUpTo, objectAt, oneOf, textUpTo, type FieldRule } from "../field-rules.ts";
import { blocksAt, contentOf, mediaPart, systemText, textAt, unknownBlock } from "./content-blocks.ts";

const role = oneOf("user", "assistant", "system");
const NAME_LENGTH_MAX = 256;
const name = textUpTo(NAME_LENGTH_MAX);

/** Anthropic's messages as those of a chat; one may become several, for the results of tools are messages of their own there. */
export const conversation: FieldRule = (value, param): readonly JsonObject[] => {
  const list = listUpTo(MESSAGES_MAX)(value, param);
  if (list.length === 0) throw invalidField(param, "must not be empty");
  return list.flatMap((item, at) => chatMessages(objectAt(item, `${param}[${at}]`), `${param}[${at}]`));
};

function chatMessages(message: JsonObject, param: string): readonly JsonObject[] {
  const from = role(message["role"], `${param}.role`);
  const { content } = message;
  const at = `${param}.content`;
  if (content === undefined || content === null) throw invalidField(at, "is missing");
  if (from === "system") return [{ role: from, content: systemText(content, at) }];
  return from === "user" ? userMessages(content, at) : assistantMessage(content, at);
}

/** Results first, in whatever order they were sent: they answer the calls of the message before. */
function userMessages(content: unknown, param: string): readonly JsonObject[] {
  const results: JsonObject[] = [];
  const parts: JsonObject[] = [];
  for (const [block, at] of blocksAt(content, param)) {
    if (block["type"] === "tool_result") results.push(toolMessage(block, at));
    else {
      const part = mediaPart(block, at);
      if (part === null) throw unknownBlock(block, at, "text, image and tool_result blocks");
      parts.push(part);
    }
  }
  if (parts.length === 0 && results.length === 0) throw invalidField(param, "must not be empty");
  return parts.length === 0 ? results : [...results, { role: "user", content: contentOf(parts, "\n") }];
}

/** That a tool failed has no place of its own in a chat: it is told in words. */
function toolMessage(block: JsonObject, param: string): JsonObject {
  const { tool_use_id: id, content = "", is_error: failed = false } = block;
  const parts = blocksAt(content ?? "", `${param}.content`).map(([inner, at]) => {
    const part = mediaPart(inner, at);
    if (part === null) throw unknownBlock(inner, at, "text and image blocks");
    return part;
  });
  const told = flag(failed ?? false, `${param}.is_error`) ? [{ type: "text", text: "Error: " }, ...parts] : parts;
  return { role: "tool", tool_call_id: name(id, `${param}.tool_use_id`), content: contentOf(told, "") };
}

function assistantMessage(content: unknown, param: string): readonly JsonObject[] {
  const texts: string[] = [];
  const thoughts: string[] = [];
  const calls: JsonObject[] = [];
  for (const [block, at] of blocksAt(content, param)) {
    const { type } = block;
    if (type === "text") texts.push(textAt(block["text"], `${at}.text`));
    else if (type === "thinking") thoughts.push(textAt(block["thinking"], `${at}.thinking`));
    else if (type === "tool_use") calls.push(toolCall(block, at));
    // Sealed by the provider for itself: nobody else can read it.
    else if (type !== "redacted_thinking") throw unknownBlock(block, at, "text, thinking and tool_use blocks");
  }
  if (texts.length + thoughts.length + calls.length === 0) return [];
  return [
    {
      role: "assistant",
      content: texts.join(""),
      ...(thoughts.length === 0 ? {} : { reasoning_content: thoughts.join("") }),
      ...(calls.length === 0 ? {} : { tool_calls: calls }),
    },
  ];
}

function toolCall({ id, name: called, input = {} }: JsonObject, param: string): JsonObject {
  if (!isObject(input)) throw invalidField(`${param}.input`, "must be an object");
  return {
    id: name(id, `${param}.id`),
    type: "function",
    function: { name: name(called, `${param}.name`), arguments: JSON.stringify(input) },
  };
}
