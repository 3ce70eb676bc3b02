import { LOGIT_BIAS_MAX, STOP_LENGTH_MAX, STOP_STRINGS_MAX } from "../limits.ts";
import { flag, integerIn, invalidField, numberIn, objectAt, type FieldRule, type FieldRules } from "./field-rules.ts";

const TOKENS_MAX = 2 ** 31 - 1;
const SEED_SPAN = 2 ** 32;

/** How many tokens may come out at most; −1, which local clients send, wishes for no limit. */
export function tokenLimit(min: number): FieldRule {
  const check = integerIn(min, TOKENS_MAX);
  return (value, param) => (value === -1 ? undefined : check(value, param));
}

/** Up to 16 strings at which the answer ends. Empty ones end nothing. */
const stop: FieldRule = (value, param) => {
  const strings = typeof value === "string" ? [value] : value;
  if (!Array.isArray(strings) || strings.length > STOP_STRINGS_MAX) {
    throw invalidField(param, `must be a string or an array of up to ${STOP_STRINGS_MAX} strings`);
  }
  for (const text of strings) {
    if (typeof text !== "string" || text.length > STOP_LENGTH_MAX) {
      throw invalidField(param, `must hold strings of up to ${STOP_LENGTH_MAX} characters`);
    }
  }
  return strings.filter((text) => text !== "");
};

/** The engine's seeds have 32 bits; clients' may have more. −1 asks for a random one. */
const seed: FieldRule = (value, param) => {
  const checked = integerIn(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)(value, param);
  return checked === -1 ? undefined : ((checked % SEED_SPAN) + SEED_SPAN) % SEED_SPAN;
};

/** By token id only: the engine would take a word for several tokens. */
const logitBias: FieldRule = (value, param) => {
  const entries = Object.entries(objectAt(value, param));
  if (entries.length > LOGIT_BIAS_MAX) throw invalidField(param, `must not have more than ${LOGIT_BIAS_MAX} entries`);
  for (const [token, bias] of entries) {
    if (!/^\d{1,9}$/.test(token)) throw invalidField(param, "must have token ids as its keys");
    numberIn(-100, 100)(bias, `${param}.${token}`);
  }
  return entries.length === 0 ? undefined : value;
};

const streamOptions: FieldRule = (value, param) => {
  const { include_usage: includeUsage } = objectAt(value, param);
  if (includeUsage === undefined || includeUsage === null) return undefined;
  return { include_usage: flag(includeUsage, `${param}.include_usage`) };
};

/** What chat and text completions share. */
export const SAMPLING_FIELDS: FieldRules = {
  stream: flag,
  stream_options: streamOptions,
  temperature: numberIn(0, 5),
  top_p: numberIn(0, 1),
  // −1 and 0 both switch it off; the engine knows 0.
  top_k: (value, param) => Math.max(0, integerIn(-1, 1_000_000)(value, param)),
  min_p: numberIn(0, 1),
  typical_p: numberIn(0, 1),
  seed,
  stop,
  presence_penalty: numberIn(-2, 2),
  frequency_penalty: numberIn(-2, 2),
  repeat_penalty: numberIn(0.1, 10),
  logit_bias: logitBias,
};
