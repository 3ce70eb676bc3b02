import { cleanName, NAME_LENGTH_MAX } from "@clusterd/wire";
import type { JsonObject } from "../json-body.ts";
import type { KeyWish } from "../keys.ts";
import { KEY_MODELS_MAX, KEY_REQUESTS_PER_MINUTE_MAX, KEY_TOKENS_PER_DAY_MAX } from "../limits.ts";
import { strictFields } from "./control-bodies.ts";
import { flag, integerIn, invalidField, listUpTo, textUpTo, type FieldRules } from "./field-rules.ts";

const MODEL_LENGTH_MAX = 256;

function name(value: unknown, param: string): string {
  const given = textUpTo(NAME_LENGTH_MAX)(value, param).trim();
  if (given === "") throw invalidField(param, "must not be empty");
  if (cleanName(given, NAME_LENGTH_MAX) !== given) throw invalidField(param, "must not have control characters");
  return given;
}

function models(value: unknown, param: string): readonly string[] {
  const given = listUpTo(KEY_MODELS_MAX)(value, param);
  if (given.length === 0) throw invalidField(param, "must name a model, or be left out");
  return given.map((item, at) => {
    const model = textUpTo(MODEL_LENGTH_MAX)(item, `${param}[${at}]`).trim();
    if (model === "" || cleanName(model, MODEL_LENGTH_MAX) !== model)
      throw invalidField(`${param}[${at}]`, "must be a model's id or alias");
    return model;
  });
}

const WISH: FieldRules = {
  name,
  models,
  requestsPerMinute: integerIn(1, KEY_REQUESTS_PER_MINUTE_MAX),
  tokensPerDay: integerIn(1, KEY_TOKENS_PER_DAY_MAX),
  private: flag,
  admin: flag,
};

interface CheckedWish {
  name?: string;
  models?: readonly string[];
  requestsPerMinute?: number;
  tokensPerDay?: number;
  private?: boolean;
  admin?: boolean;
}

/** The body of `/cluster/v1/keys/create`. */
export function keyWish(body: JsonObject): KeyWish {
  const wish = strictFields(body, WISH) as CheckedWish;
  return {
    name: wish.name ?? null,
    models: wish.models ?? null,
    requestsPerMinute: wish.requestsPerMinute ?? null,
    tokensPerDay: wish.tokensPerDay ?? null,
    isPrivate: wish.private ?? false,
    mayControl: wish.admin ?? false,
  };
}

/** The body of `/cluster/v1/keys/revoke`. */
export function keyName(body: JsonObject): string {
  const { key } = strictFields(body, { key: textUpTo(NAME_LENGTH_MAX) }) as { key?: string };
  if (key === undefined) throw invalidField("key", "is missing");
  return key;
}
