import type { Route } from "../../backend.ts";
import type { JsonObject } from "../../json-body.ts";
import { TOP_LOGPROBS_MAX } from "../../limits.ts";
import { flag, integerIn, invalidField, oneOf, objectAt } from "../field-rules.ts";
import { boundedSchema } from "../json-schema-bounds.ts";
import { keepAliveOf } from "./keep-alive.ts";
import { checkContext, optionsOf } from "./options-field.ts";

const level = oneOf("low", "medium", "high", "max");

/** What Ollama's ways to ask for text share. */
export interface SharedFields {
  readonly fields: JsonObject;
  readonly stream: boolean;
  readonly keepAliveSeconds: number | null | undefined;
  /** Refuses a deployment that has less context than the client counts on; null: it counts on none. */
  readonly checkRoute: ((route: Route) => void) | null;
}

export function sharedFields(body: JsonObject): SharedFields {
  const options = optionsOf(body["options"]);
  const { context: wanted } = options;
  return {
    fields: options.fields,
    stream: flag(body["stream"] ?? true, "stream"),
    keepAliveSeconds: keepAliveOf(body["keep_alive"]),
    checkRoute: wanted === null ? null : (route) => checkContext(wanted, route),
  };
}

/** Whether the model is to think, and how hard; absent: as the model does by itself. */
export function thinkFields(value: unknown): JsonObject {
  if (value === undefined || value === null) return {};
  if (typeof value === "boolean") return { chat_template_kwargs: { enable_thinking: value } };
  const wish = level(value, "think");
  return { chat_template_kwargs: { enable_thinking: true }, reasoning_effort: wish === "max" ? "high" : wish };
}

/** `json`, or a schema. */
export function formatFields(value: unknown): JsonObject {
  if (value === undefined || value === null || value === "") return {};
  if (typeof value === "string") {
    if (value !== "json") throw invalidField("format", "must be json or a JSON schema");
    return { response_format: { type: "json_object" } };
  }
  return {
    response_format: { type: "json_schema", json_schema: { schema: boundedSchema(objectAt(value, "format"), "format") } },
  };
}

/** Alternatives to tell of with every token; null: no log-probabilities at all. */
export function alternativesOf({ logprobs, top_logprobs: top }: JsonObject): number | null {
  const count = top === undefined || top === null ? 0 : integerIn(0, TOP_LOGPROBS_MAX)(top, "top_logprobs");
  if (flag(logprobs ?? false, "logprobs")) return count;
  if (count > 0) throw invalidField("top_logprobs", "needs `logprobs` to be true");
  return null;
}
