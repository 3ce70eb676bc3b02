import type { JsonObject } from "../json-body.ts";
import { NAME_TEXT_MAX } from "../limits.ts";
import { flag, invalidField, textUpTo } from "./field-rules.ts";

/** The body of `/cluster/v1/pull`. */
export function pullBody(body: JsonObject): { readonly model: string; readonly cancel: boolean } {
  const unknown = Object.keys(body).find((key) => key !== "model" && key !== "cancel");
  if (unknown !== undefined) throw invalidField(unknown.slice(0, 100), "is not a field here; there are model, cancel");
  const model = textUpTo(NAME_TEXT_MAX)(body["model"] ?? "", "model").trim();
  if (model === "") throw invalidField("model", "is missing");
  return { model, cancel: flag(body["cancel"] ?? false, "cancel") };
}
