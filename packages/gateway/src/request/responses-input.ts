import { isObject, type JsonObject } from "../json-body.ts";
import { CONTENT_PARTS_MAX, MESSAGES_MAX, NAME_TEXT_MAX } from "../limits.ts";
import { invalidField, listUpTo, objectAt, textUpTo, unlimitedText } from "./field-rules.ts";
import { audioPart, imagePart } from "./message-fields.ts";

/** A message of a chat, as the engine is sent it. */
interface ChatMessage {
  readonly role: string;
  content?: unknown;
  reasoning_content?: string;
  tool_calls?: unknown[];
  readonly tool_call_id?: string;
}

const idText = textUpTo(NAME_TEXT_MAX);
const ROLES: ReadonlySet<unknown> = new Set(["user", "system", "developer", "assistant"]);

/** What a request's `instructions` and `input` say, as the messages of a chat. */
export function responsesMessages(instructions: string | null, input: unknown): readonly ChatMessage[] {
  const messages: ChatMessage[] = instructions === null ? [] : [{ role: "system", content: instructions }];
  if (typeof input === "string") return [...messages, { role: "user", content: input }];
  const items = listUpTo(MESSAGES_MAX)(input, "input");
  if (items.length === 0) throw invalidField("input", "must not be empty");
  // What the assistant said in one turn comes in several items: reasoning, words, calls.
  let turn: ChatMessage | null = null;
  for (const [at, value] of items.entries()) {
    const param = `input[${at}]`;
    const item = objectAt(value, param);
    const isAssistants = item["type"] === "reasoning" || item["type"] === "function_call" || item["role"] === "assistant";
    if (!isAssistants) {
      turn = null;
      messages.push(otherMessage(item, param));
    } else {
      const before: ChatMessage | null = turn;
      turn = joinsTurn(before, item) ? before : null;
      if (turn === null) messages.push((turn = { role: "assistant" }));
      addToTurn(turn, item, param);
    }
  }
  return messages.filter((message) => message.role !== "assistant" || hasContent(message));
}

/** Reasoning begins a turn; words follow it; calls follow both. */
function joinsTurn(turn: ChatMessage | null, item: JsonObject): turn is ChatMessage {
  if (turn === null || item["type"] === "reasoning") return false;
  return item["type"] === "function_call" || (turn.content === undefined && turn.tool_calls === undefined);
}

const hasContent = ({ content, tool_calls: calls }: ChatMessage): boolean => content !== undefined || calls !== undefined;

function addToTurn(turn: ChatMessage, item: JsonObject, param: string): void {
  if (item["type"] === "reasoning") {
    const text = reasoningText(item, param);
    if (text !== "") turn.reasoning_content = text;
  } else if (item["type"] === "function_call") {
    const call = {
      id: idText(item["call_id"], `${param}.call_id`),
      type: "function",
      function: {
        name: idText(item["name"], `${param}.name`),
        arguments: unlimitedText(item["arguments"], `${param}.arguments`),
      },
    };
    turn.tool_calls = [...(turn.tool_calls ?? []), call];
  } else turn.content = content(item["content"], `${param}.content`, outputPart);
}

/** The reasoning itself, where it is there: what is encrypted, or a summary, the model has no use for. */
function reasoningText(item: JsonObject, param: string): string {
  const parts = listUpTo(CONTENT_PARTS_MAX)(item["content"] ?? [], `${param}.content`);
  return parts
    .map((part, at) => unlimitedText(objectAt(part, `${param}.content[${at}]`)["text"], `${param}.content[${at}].text`))
    .join("");
}

function otherMessage(item: JsonObject, param: string): ChatMessage {
  const { type = "message", role } = item;
  if (type === "function_call_output") {
    return {
      role: "tool",
      tool_call_id: idText(item["call_id"], `${param}.call_id`),
      content: content(item["output"], `${param}.output`, inputPart),
    };
  }
  if (type === "item_reference")
    throw invalidField(param, "refers to an earlier item, and none are kept: send the whole conversation");
  if (type !== "message")
    throw invalidField(`${param}.type`, "must be message, reasoning, function_call or function_call_output");
  if (!ROLES.has(role)) throw invalidField(`${param}.role`, "must be user, system, developer or assistant");
  return { role: String(role), content: content(item["content"], `${param}.content`, inputPart) };
}

function content(value: unknown, param: string, part: (value: JsonObject, param: string) => unknown): unknown {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) throw invalidField(param, "must be a string or an array of parts");
  return listUpTo(CONTENT_PARTS_MAX)(value, param).map((item, at) => part(objectAt(item, `${param}[${at}]`), `${param}[${at}]`));
}

function inputPart(part: JsonObject, param: string): unknown {
  const { type } = part;
  if (type === "input_text") return { type: "text", text: unlimitedText(part["text"], `${param}.text`) };
  if (type === "input_image") {
    if (part["image_url"] === undefined || part["image_url"] === null)
      throw invalidField(`${param}.image_url`, "is missing; files are not kept here, so an image comes inside its request");
    return imagePart(part["image_url"], `${param}.image_url`);
  }
  if (type === "input_audio")
    return audioPart(isObject(part["input_audio"]) ? part["input_audio"]["data"] : undefined, `${param}.input_audio.data`);
  if (type === "input_file") throw invalidField(`${param}.type`, "is input_file: files are not read here; send their text");
  throw invalidField(`${param}.type`, "must be input_text, input_image or input_audio");
}

function outputPart(part: JsonObject, param: string): unknown {
  const { type } = part;
  if (type === "output_text" || type === "input_text")
    return { type: "text", text: unlimitedText(part["text"], `${param}.text`) };
  if (type === "refusal") return { type: "text", text: unlimitedText(part["refusal"], `${param}.refusal`) };
  throw invalidField(`${param}.type`, "must be output_text or refusal");
}
