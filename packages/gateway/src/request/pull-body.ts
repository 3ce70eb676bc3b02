import type { JsonObject } from "../json-body.ts";
import { NAME_TEXT_MAX } from "../limits.ts";
import { flag, invalidField, textUpTo } from "./field-rules.ts";

const FIELDS: readonly string[] = ["model", "cancel", "all", "projector"];

export interface PullBody {
  readonly model: string;
  readonly cancel: boolean;
  readonly all: boolean;
  /** False: what lets the model see images stays on the hub. */
  readonly projector: boolean;
}

/** The body of `/cluster/v1/pull`. */
export function pullBody(body: JsonObject): PullBody {
  const unknown = Object.keys(body).find((key) => !FIELDS.includes(key));
  if (unknown !== undefined) throw invalidField(unknown.slice(0, 100), `is not a field here; there are ${FIELDS.join(", ")}`);
  const model = textUpTo(NAME_TEXT_MAX)(body["model"] ?? "", "model").trim();
  if (model === "") throw invalidField("model", "is missing");
  return {
    model,
    cancel: flag(body["cancel"] ?? false, "cancel"),
    all: flag(body["all"] ?? false, "all"),
    projector: flag(body["projector"] ?? true, "projector"),
  };
}
