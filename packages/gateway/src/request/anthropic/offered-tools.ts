import type { JsonObject } from "../../json-body.ts";
import { TOOLS_MAX } from "../../limits.ts";
import { flag, invalidField, listUpTo, objectAt, oneOf, textUpTo, type FieldRule } from "../field-rules.ts";
import { boundedSchema } from "../json-schema-bounds.ts";

const TOOL_NAME = /^[\w.-]{1,128}$/;
const DESCRIPTION_LENGTH_MAX = 64 * 1024;

/** Tools that the client runs itself. Those of the provider run on its servers, or need its models. */
export const offeredTools: FieldRule = (value, param) => {
  const list = listUpTo(TOOLS_MAX)(value, param);
  return list.length === 0
    ? undefined
    : list.map((item, at) => functionTool(objectAt(item, `${param}[${at}]`), `${param}[${at}]`));
};

function functionTool(tool: JsonObject, param: string): JsonObject {
  const { type = "custom", name, description, input_schema: schema } = tool;
  if (type !== "custom" && type !== null) {
    const named = typeof type === "string" ? JSON.stringify(type.slice(0, 100)) : "this";
    throw invalidField(`${param}.type`, `is not supported: ${named} is the provider's own; there are tools with an input_schema`);
  }
  if (typeof name !== "string" || !TOOL_NAME.test(name)) {
    throw invalidField(`${param}.name`, "must be up to 128 letters, digits, dots, dashes or underscores");
  }
  return {
    type: "function",
    function: {
      name,
      ...(description === undefined || description === null
        ? {}
        : { description: textUpTo(DESCRIPTION_LENGTH_MAX)(description, `${param}.description`) }),
      parameters: boundedSchema(schema, `${param}.input_schema`),
    },
  };
}

const choiceType = oneOf("auto", "any", "tool", "none");

/** Anthropic's choice of a tool as a chat's: whether one must be called, and whether several may be. */
export function toolChoice(value: unknown, param: string): JsonObject {
  const { type, name, disable_parallel_tool_use: single } = objectAt(value, param);
  const kind = choiceType(type, `${param}.type`);
  if (kind === "tool" && typeof name !== "string") throw invalidField(`${param}.name`, "must be a string");
  return {
    tool_choice: kind === "tool" ? { type: "function", function: { name } } : kind === "any" ? "required" : kind,
    ...(single !== undefined && single !== null && flag(single, `${param}.disable_parallel_tool_use`)
      ? { parallel_tool_calls: false }
      : {}),
  };
}
