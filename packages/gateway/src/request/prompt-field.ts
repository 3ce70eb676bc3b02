import { PROMPTS_MAX } from "../limits.ts";
import { invalidField } from "./field-rules.ts";

const TOKEN_ID_MAX = 2 ** 31 - 1;

export type Prompt = string | readonly number[];

export function isTokens(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.length > 0 && value.every((id) => Number.isInteger(id) && id >= 0 && id <= TOKEN_ID_MAX);
}

/** A text, token ids, or several of either. */
export function promptsOf(value: unknown): readonly Prompt[] {
  if (value === undefined || value === null) throw invalidField("prompt", "is missing");
  if (typeof value === "string" || isTokens(value)) return [value];
  if (!Array.isArray(value) || value.length === 0 || value.length > PROMPTS_MAX) {
    throw invalidField("prompt", `must be a string, an array of token ids, or up to ${PROMPTS_MAX} of these`);
  }
  return value.map((item: unknown, at) => {
    if (typeof item === "string" || isTokens(item)) return item;
    throw invalidField(`prompt[${at}]`, "must be a string or an array of token ids");
  });
}
