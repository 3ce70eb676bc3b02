import { isObject, type JsonObject } from "../json-body.ts";

/** How a text completion's choice is to look, beyond what the engine gives. */
export interface TextWish {
  /** The text that stands before what is generated; "" where it is not asked for. */
  readonly echo: string;
  /** Alternatives to list for each token; null: no log-probabilities. */
  readonly alternatives: number | null;
}

/** Log-probabilities as the completions API has them: lists side by side, offsets in characters of the choice's text. */
interface TextLogprobs {
  readonly tokens: readonly string[];
  readonly token_logprobs: readonly number[];
  readonly top_logprobs: readonly Readonly<Record<string, number>>[] | null;
  readonly text_offset: readonly number[];
}

/** Reshapes the chunks of one stream of text completions, in their order; the engine tells log-probabilities as in chats. */
export function textChoice({ echo, alternatives }: TextWish): (chunk: JsonObject) => JsonObject {
  let pending = echo;
  let offset = charactersOf(echo);

  const reshape = (choice: unknown): unknown => {
    if (!isObject(choice)) return choice;
    const text = pending + (typeof choice["text"] === "string" ? choice["text"] : "");
    pending = "";
    const { logprobs } = choice;
    const listed = isObject(logprobs) && Array.isArray(logprobs["content"]) ? logprobs["content"].filter(isObject) : null;
    return { ...choice, text, logprobs: alternatives === null || listed === null ? null : textLogprobs(listed, alternatives) };
  };

  function textLogprobs(listed: readonly JsonObject[], count: number): TextLogprobs {
    return {
      tokens: listed.map(tokenOf),
      token_logprobs: listed.map(logprobOf),
      top_logprobs: count === 0 ? null : listed.map((item) => alternativesOf(item, count)),
      text_offset: listed.map((item) => {
        const at = offset;
        offset += charactersOf(tokenOf(item));
        return at;
      }),
    };
  }

  return (chunk) => {
    const { choices } = chunk;
    return Array.isArray(choices) ? { ...chunk, choices: choices.map(reshape) } : chunk;
  };
}

const tokenOf = ({ token }: JsonObject): string => (typeof token === "string" ? token : "");
const logprobOf = ({ logprob }: JsonObject): number => (typeof logprob === "number" ? logprob : 0);
const charactersOf = (text: string): number => Array.from(text).length;

function alternativesOf(item: JsonObject, count: number): Readonly<Record<string, number>> {
  const { top_logprobs: top } = item;
  const listed = Array.isArray(top) ? top.filter(isObject).slice(0, count) : [];
  return Object.fromEntries([...listed, item].map((one) => [tokenOf(one), logprobOf(one)]));
}

/** Puts the lists of several chunks together; null where none had any. */
export function joinTextLogprobs(parts: readonly JsonObject[]): JsonObject | null {
  if (parts.length === 0) return null;
  const joined = (key: string): readonly unknown[] => parts.flatMap((part) => (Array.isArray(part[key]) ? part[key] : []));
  return {
    tokens: joined("tokens"),
    token_logprobs: joined("token_logprobs"),
    top_logprobs: parts.some((part) => Array.isArray(part["top_logprobs"])) ? joined("top_logprobs") : null,
    text_offset: joined("text_offset"),
  };
}
