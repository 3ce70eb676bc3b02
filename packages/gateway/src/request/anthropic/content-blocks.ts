import type { JsonObject } from "../../json-body.ts";
import { CONTENT_PARTS_MAX } from "../../limits.ts";
import { invalidField, listUpTo, objectAt, oneOf } from "../field-rules.ts";

const BASE64 = /^[A-Za-z0-9+/=\s]*$/;
const imageType = oneOf("image/jpeg", "image/png", "image/gif", "image/webp");

export function textAt(value: unknown, param: string): string {
  if (typeof value !== "string") throw invalidField(param, "must be a string");
  return value;
}

/** A list of blocks with the text of each one's field, e.g. `messages[0].content[1]`; a string stands for one block of text. */
export function blocksAt(value: unknown, param: string): readonly (readonly [block: JsonObject, param: string])[] {
  if (typeof value === "string") return [[{ type: "text", text: value }, param]];
  if (!Array.isArray(value)) throw invalidField(param, "must be a string or an array of blocks");
  return listUpTo(CONTENT_PARTS_MAX)(value, param).map((item, at) => [objectAt(item, `${param}[${at}]`), `${param}[${at}]`]);
}

/** What a client is told of a block that nothing here can take in. */
export function unknownBlock({ type }: JsonObject, param: string, known: string): Error {
  const named = typeof type === "string" ? JSON.stringify(type.slice(0, 100)) : "this";
  return invalidField(`${param}.type`, `is not supported: ${named} cannot be taken in here; there are ${known}`);
}

/** A block of text or an image, as a part of a chat message. Images come inside the request: addresses are not fetched. */
export function mediaPart(block: JsonObject, param: string): JsonObject | null {
  if (block["type"] === "text") return { type: "text", text: textAt(block["text"], `${param}.text`) };
  if (block["type"] !== "image") return null;
  const source = objectAt(block["source"], `${param}.source`);
  if (source["type"] !== "base64") {
    throw invalidField(
      `${param}.source.type`,
      "must be base64: images come inside the request, addresses and files are not fetched",
    );
  }
  const type = imageType(source["media_type"], `${param}.source.media_type`);
  const data = textAt(source["data"], `${param}.source.data`);
  if (!BASE64.test(data)) throw invalidField(`${param}.source.data`, "must be base64");
  return { type: "image_url", image_url: { url: `data:${type};base64,${data}` } };
}

/** Parts as a message's content: text alone as one string, as every template takes it. */
export function contentOf(parts: readonly JsonObject[], between: string): unknown {
  if (parts.some(({ type }) => type !== "text")) return parts;
  return parts.map(({ text }) => text).join(between);
}

/** Text of a system prompt, its blocks joined. */
export function systemText(value: unknown, param: string): string {
  const texts = blocksAt(value, param).map(([block, at]) => {
    if (block["type"] !== "text") throw unknownBlock(block, at, "text blocks");
    return withoutBilling(textAt(block["text"], `${at}.text`));
  });
  return texts.filter((text) => text !== "").join("\n");
}

/** A line that some agents send the provider in front of their prompt. It differs from request to request, and nothing read before could be reused. */
function withoutBilling(text: string): string {
  return text.replace(/^x-anthropic-billing-header:[^\n]*\n?/, "");
}
