import type { JsonObject } from "../../json-body.ts";
import { integerIn, invalidField, numberIn, objectAt, refused, type FieldRule } from "../field-rules.ts";
import { SAMPLING_FIELDS } from "../sampling-fields.ts";

const TOKENS_MAX = 2 ** 31 - 1;
const LAST_MAX = 1_000_000;

/** −1 and −2: to the end of the text, or of the context, which is the same here. */
const limit: FieldRule = (value, param) => (value === -1 || value === -2 ? undefined : integerIn(0, TOKENS_MAX)(value, param));

/** The engine's own names for options that it knows by another. */
const RENAMED: Readonly<Record<string, string>> = { num_predict: "max_tokens" };

/**
 * Options that mean something for one answer. The others are dropped: how a model is loaded and run (num_gpu, num_thread, num_batch,
 * use_mmap, …) is the cluster's business and not a request's.
 */
const OPTIONS: Readonly<Record<string, FieldRule | undefined>> = {
  ...SAMPLING_FIELDS,
  stream: undefined,
  stream_options: undefined,
  logit_bias: undefined,
  num_predict: limit,
  repeat_last_n: integerIn(-1, LAST_MAX),
  mirostat: integerIn(0, 2),
  mirostat_tau: numberIn(0, 100),
  mirostat_eta: numberIn(0, 100),
  tfs_z: refused("is not supported: the engine has no such sampler any more", 1),
};

export interface CheckedOptions {
  /** Fields of the engine's request. */
  readonly fields: JsonObject;
  /** Tokens of context that the client counts on; null: whatever there is. */
  readonly context: number | null;
}

/** Ollama's `options`, checked. */
export function optionsOf(value: unknown): CheckedOptions {
  if (value === undefined || value === null) return { fields: {}, context: null };
  const given = objectAt(value, "options");
  const fields: Record<string, unknown> = {};
  for (const [name, rule] of Object.entries(OPTIONS)) {
    const option = Object.hasOwn(given, name) ? given[name] : undefined;
    if (rule === undefined || option === undefined || option === null) continue;
    const checked = rule(option, `options.${name}`);
    if (checked !== undefined) fields[RENAMED[name] ?? name] = checked;
  }
  const { num_ctx: context = null } = given;
  return { fields, context: context === null ? null : integerIn(0, TOKENS_MAX)(context, "options.num_ctx") };
}

/** Refuses a request that counts on more context than its model runs with: it would be cut short, or refused later. */
export function checkContext(wanted: number, { model, context }: { readonly model: string; readonly context: number }): void {
  if (wanted <= context) return;
  throw invalidField(
    "options.num_ctx",
    `is ${wanted}, but ${model} runs with a context of ${context} tokens: ask for no more, or load it with \`--ctx ${wanted}\``,
  );
}
