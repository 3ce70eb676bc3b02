import { isObject, type JsonObject } from "../json-body.ts";
import { NAME_TEXT_MAX, TOOLS_MAX } from "../limits.ts";
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
  if (value["type"] === "allowed_tools") return allowedTools(value["allowed_tools"], `${param}.allowed_tools`);
  if (value["type"] !== "function") throw invalidField(param, "must be none, auto, required, one function or allowed_tools");
  const { name } = objectAt(value["function"], `${param}.function`);
  if (typeof name !== "string") throw invalidField(`${param}.function.name`, "must be a string");
  return { type: "function", function: { name } };
};

/** A choice among some of the tools. */
interface AllowedTools {
  readonly type: "allowed_tools";
  readonly mode: string;
  readonly names: readonly string[];
}

function allowedTools(value: unknown, param: string): AllowedTools {
  const { mode, tools: allowed } = objectAt(value, param);
  const names = listUpTo(TOOLS_MAX)(allowed, `${param}.tools`).map((tool, at) => {
    const { name } = objectAt(objectAt(tool, `${param}.tools[${at}]`)["function"], `${param}.tools[${at}].function`);
    return textUpTo(NAME_TEXT_MAX)(name, `${param}.tools[${at}].function.name`);
  });
  return { type: "allowed_tools", mode: oneOf("auto", "required")(mode, `${param}.mode`), names };
}

const responseFormat: FieldRule = (value, param) => {
  const format = objectAt(value, param);
  const type = oneOf("text", "json_object", "json_schema")(format["type"], `${param}.type`);
  if (type === "text") return undefined;
  if (type === "json_object") {
    const { schema } = format;
    return schema === undefined || schema === null ? { type } : { type, schema: boundedSchema(schema, `${param}.schema`) };
  }
  const { schema } = objectAt(format["json_schema"], `${param}.json_schema`);
  // Without a schema any object will do.
  if (schema === undefined || schema === null) return { type: "json_object" };
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
  const { names, mode } = chosenOf(choice as unknown as AllowedTools | FunctionTool);
  const missing = names.find((name) => !list.some((tool) => tool.function.name === name));
  if (missing !== undefined) throw invalidField("tool_choice", `names ${JSON.stringify(missing)}, which is not in \`tools\``);
  return { ...others, tools: list.filter((tool) => names.includes(tool.function.name)), tool_choice: mode };
}

function chosenOf(choice: AllowedTools | FunctionTool): { readonly names: readonly string[]; readonly mode: string } {
  return choice.type === "allowed_tools" ? choice : { names: [choice.function.name], mode: "required" };
}
