import type { AliasChange } from "../aliases.ts";
import type { JsonObject } from "../json-body.ts";
import { NAME_TEXT_MAX } from "../limits.ts";
import { strictFields } from "./control-bodies.ts";
import { invalidField, numberIn, objectAt, oneOf, textUpTo, type FieldRules } from "./field-rules.ts";

const ALIAS_LENGTH_MAX = 100;
const share = numberIn(0, 1);

const FIELDS: FieldRules = {
  alias: textUpTo(ALIAS_LENGTH_MAX),
  action: oneOf("set", "promote", "back", "remove"),
  model: textUpTo(NAME_TEXT_MAX),
  canary(value, param) {
    const given = objectAt(value, param);
    const known = { model: textUpTo(NAME_TEXT_MAX), share };
    const checked = strictFields(given, known) as { model?: string; share?: number };
    if (checked.model === undefined) throw invalidField(`${param}.model`, "is missing");
    if (checked.share === undefined || checked.share <= 0) throw invalidField(`${param}.share`, "must be above 0, and 1 at most");
    return checked;
  },
};

interface CheckedAlias {
  alias?: string;
  action?: AliasChange["action"];
  model?: string;
  canary?: { readonly model: string; readonly share: number };
}

/** The body of `POST /cluster/v1/aliases`. */
export function aliasBody(body: JsonObject): AliasChange {
  const { alias, action = "set", ...target } = strictFields(body, FIELDS) as CheckedAlias;
  if (alias === undefined) throw invalidField("alias", "is missing");
  if (action === "set") return { alias, action, ...target };
  const [extra] = Object.keys(target);
  if (extra !== undefined) throw invalidField(extra, `means nothing where the alias is to ${action}`);
  return { alias, action };
}
