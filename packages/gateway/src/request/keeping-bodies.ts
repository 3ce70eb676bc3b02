import type { JsonObject } from "../json-body.ts";
import { NAME_TEXT_MAX } from "../limits.ts";
import { strictFields } from "./control-bodies.ts";
import { flag, invalidField, textUpTo } from "./field-rules.ts";

function name(value: unknown, param: string): string {
  const given = textUpTo(NAME_TEXT_MAX)(value, param).trim();
  if (given === "") throw invalidField(param, "must not be empty");
  return given;
}

/** The body of `/cluster/v1/rm`: a model, and whether only what no deployment needs of it goes. */
export function removeBody(body: JsonObject): { readonly model: string; readonly unused: boolean } {
  const { model, unused } = strictFields(body, { model: name, unused: flag }) as { model?: string; unused?: boolean };
  if (model === undefined) throw invalidField("model", "is missing");
  return { model, unused: unused ?? false };
}

/** The body of `/cluster/v1/verify`: a model, or none for all, and whether what is wrong is fetched again. */
export function verifyBody(body: JsonObject): { readonly model: string | null; readonly repair: boolean } {
  const { model, repair } = strictFields(body, { model: name, repair: flag }) as { model?: string; repair?: boolean };
  return { model: model ?? null, repair: repair ?? true };
}
