import { createHash } from "node:crypto";
import { isObject, type JsonObject } from "../json-body.ts";

/** Of a prompt without messages, what tells one conversation from another. */
const PROMPT_LENGTH = 256;
/** Of a message. */
const TEXT_LENGTH = 4_096;
const KEY_LENGTH = 32;

/**
 * What the requests of one conversation have in common, whichever API they come in: a hash of the model named, of what the model is told
 * first and of the first message of its user, or of the first 256 characters of a prompt. Each request of a conversation repeats these,
 * and the engine that has read them once need not read them again. Null where there is nothing to go by. Content goes into the hash alone.
 */
export function conversationOf(body: JsonObject): string | null {
  const { model, messages, prompt, input, system, instructions } = body;
  const said = Array.isArray(messages) ? messages : Array.isArray(input) ? input.filter(isObject) : [];
  const first = (role: string): string => textOf(said.find((item) => isObject(item) && item["role"] === role)?.["content"]);
  const told = textOf(system) || textOf(instructions) || first("system") || first("developer");
  const asked = first("user") || start(textOf(prompt)) || start(textOf(input));
  if (told === "" && asked === "") return null;
  const hash = createHash("sha256").update(JSON.stringify([textOf(model), told, asked]));
  return hash.digest("hex").slice(0, KEY_LENGTH);
}

function start(text: string): string {
  return text.slice(0, PROMPT_LENGTH);
}

/** Of text, of parts that are texts, of token ids. */
function textOf(content: unknown): string {
  if (typeof content === "string") return content.slice(0, TEXT_LENGTH);
  if (!Array.isArray(content)) return "";
  const parts = content.slice(0, PROMPT_LENGTH).map((part: unknown) => {
    if (typeof part === "number") return `${part} `;
    if (typeof part === "string") return part;
    return isObject(part) && typeof part["text"] === "string" ? part["text"] : "";
  });
  return parts.join("").slice(0, TEXT_LENGTH);
}
