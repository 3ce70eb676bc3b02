import type { JsonObject } from "../../json-body.ts";
import { integerIn, objectAt, oneOf } from "../field-rules.ts";

const BUDGET_MAX = 2 ** 31 - 1;
const kind = oneOf("enabled", "disabled", "adaptive", "between_tools");
const display = oneOf("summarized", "omitted");
const budget = integerIn(0, BUDGET_MAX);

export interface ThinkingWish {
  /** The engine's fields for it. */
  readonly fields: JsonObject;
  readonly hide: boolean;
}

/**
 * Whether the model is to think, and how long. Clients that do not ask for it take the first block for text, so that without the
 * wish a model that can do without does.
 */
export function thinkingWish(value: unknown, param: string): ThinkingWish {
  const given = value === undefined || value === null ? { type: "disabled" } : objectAt(value, param);
  const type = kind(given["type"], `${param}.type`);
  const { budget_tokens: tokens, display: shown } = given;
  return {
    fields: {
      chat_template_kwargs: { enable_thinking: type !== "disabled" },
      ...(type === "enabled" && tokens !== undefined && tokens !== null
        ? { reasoning_budget_tokens: budget(tokens, `${param}.budget_tokens`) }
        : {}),
    },
    hide: shown !== undefined && shown !== null && display(shown, `${param}.display`) === "omitted",
  };
}
