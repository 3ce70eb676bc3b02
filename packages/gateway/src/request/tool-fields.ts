import { isObject, type JsonObject } from "../json-body.ts";
import { TOOLS_MAX } from "../limits.ts";
import { flag, invalidField, listUpTo, objectAt, oneOf, textUpTo, type FieldRule, type FieldRules } from "./field-rules.ts";
import { boundedSchema } from "./json-schema-bounds.ts";

const FUNCTION_NAME = /^[\w.-]{1,128}$/;
const DESCRIPTION_LENGTH_MAX = 64 * 1024;

interface FunctionTool {
  readonly type: "function";
  readonly function: { readonly name: string; readonly description?: string; readonly parameters?: unknown };
}

function functionTool(value: unknown, param: string): FunctionTool {
  const tool = objectAt(value, param);
  if (tool["type"] !== "function") throw invalidField(`${param}.type`, 'must be "function"');
  const { name, description, parameters } = objectAt(tool["function"], `${param}.function`);
  if (typeof name !== "string" || !FUNCTION_NAME.test(name)) {
    throw invalidField(`${param}.function.name`, "must be up to 128 letters, digits, dots, dashes or underscores");
  }
  return {
    type: "function",
    function: {
      name,
      ...(description === undefined || description === null
        ? {}
        : { description: textUpTo(DESCRIPTION_LENGTH_MAX)(description, `${param}.function.description`) }),
      ...(parameters === undefined || parameters === null
        ? {}
        : { parameters: boundedSchema(parameters, `${param}.function.parameters`) }),
    },
  };
}

const tools: FieldRule = (value, param) => {
  const list = listUpTo(TOOLS_MAX)(value, param);
  return list.length === 0 ? undefined : list.map((tool, at) => functionTool(tool, `${param}[${at}]`));
};

const toolChoice: FieldRule = (value, param) => {
  if (!isObject(value)) return oneOf("none", "auto", "required")(value, param);
  if (value["type"] !== "function") throw invalidField(param, "must be none, auto, required or one function");
  const { name } = objectAt(value["function"], `${param}.function`);
  if (typeof name !== "string") throw invalidField(`${param}.function.name`, "must be a string");
  return { type: "function", function: { name } };
};

const responseFormat: FieldRule = (value, param) => {
  const format = objectAt(value, param);
  const type = oneOf("text", "json_object", "json_schema")(format["type"], `${param}.type`);
  if (type === "text") return undefined;
  if (type === "json_object") {
    const { schema } = format;
    return schema === undefined || schema === null ? { type } : { type, schema: boundedSchema(schema, `${param}.schema`) };
  }
  const { schema } = objectAt(format["json_schema"], `${param}.json_schema`);
  return { type, json_schema: { schema: boundedSchema(schema, `${param}.json_schema.schema`) } };
};

/** What a chat may ask of the shape of its answer. */
export const TOOL_FIELDS: FieldRules = {
  tools,
  tool_choice: toolChoice,
  parallel_tool_calls: flag,
  response_format: responseFormat,
};

/**
 * The engine knows `none`, `auto` and `required`, and takes a named function for `auto`. One function that must be called is
 * the same as a call being required with only that one on offer.
 */
export function settleToolChoice(fields: JsonObject): Record<string, unknown> {
  const { tools: offered, tool_choice: choice, ...others } = fields;
  const list = (offered ?? []) as readonly FunctionTool[];
  if (list.length === 0) {
    if (isObject(choice) || choice === "required") throw invalidField("tool_choice", "needs `tools`");
    const { parallel_tool_calls: _, ...plain } = others;
    return plain;
  }
  if (!isObject(choice)) return { ...others, tools: list, ...(choice === undefined ? {} : { tool_choice: choice }) };
  const { name } = (choice as unknown as FunctionTool).function;
  const chosen = list.filter((tool) => tool.function.name === name);
  if (chosen.length === 0) throw invalidField("tool_choice", `names ${JSON.stringify(name)}, which is not in \`tools\``);
  return { ...others, tools: chosen, tool_choice: "required" };
}
