import { isObject, type JsonObject } from "../json-body.ts";
import type { Upstream } from "./upstream.ts";

/** Paths of the engine that upstreams answer as well, by what they are called below a base address. */
const PATHS: Readonly<Record<string, string>> = {
  "/v1/chat/completions": "/chat/completions",
  "/v1/completions": "/completions",
  "/v1/embeddings": "/embeddings",
  "/v1/responses": "/responses",
};

export function upstreamPath(enginePath: string): string | null {
  return Object.hasOwn(PATHS, enginePath) ? (PATHS[enginePath] ?? null) : null;
}

const SAMPLING = [
  ...["stream", "stream_options", "temperature", "top_p", "seed", "stop", "presence_penalty", "frequency_penalty"],
  ...["logit_bias", "max_tokens", "logprobs"],
];
/** OpenAI's own fields of those that requests are checked for, by path. What else the engine takes stays here. */
const FIELDS: Readonly<Record<string, ReadonlySet<string>>> = {
  "/v1/chat/completions": new Set([
    ...SAMPLING,
    ...["messages", "top_logprobs", "tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort"],
  ]),
  "/v1/completions": new Set([...SAMPLING, "prompt"]),
  "/v1/embeddings": new Set(["input", "encoding_format"]),
  "/v1/responses": new Set([
    ...["stream", "input", "instructions", "temperature", "top_p", "max_output_tokens", "tools", "tool_choice"],
    ...["parallel_tool_calls", "reasoning", "text"],
  ]),
};
/** What the relay itself asks of the engine: no wish of the client. */
const OWN = new Set(["model", "return_progress", "timings_per_token", "speculative.n_max", "cache_prompt"]);

/** A checked request as an upstream is sent it, and the fields it is sent without. */
export interface UpstreamBody {
  readonly body: JsonObject;
  readonly leftOut: readonly string[];
}

/** Puts a checked request of the engine into the words of an upstream. */
export function upstreamBody(path: string, checked: JsonObject, upstream: Upstream, theirModel: string): UpstreamBody {
  const known = FIELDS[path];
  const taken = (name: string): boolean => known?.has(name) === true || upstream.fields.includes(name);
  const entries = Object.entries(checked).filter(([name]) => !OWN.has(name));
  const sent = entries.filter(([name]) => taken(name)).map(([name, value]) => inTheirWords(name, value, upstream));
  const counted = checked["stream"] === true && path !== "/v1/responses" ? { stream_options: { include_usage: true } } : {};
  return {
    // The tokens of every stream are counted.
    body: { ...Object.fromEntries(sent), ...counted, model: theirModel },
    leftOut: entries.flatMap(([name]) => (taken(name) ? [] : [name])),
  };
}

function inTheirWords(name: string, value: unknown, { tokenLimit }: Upstream): readonly [string, unknown] {
  if (name === "max_tokens") return [tokenLimit, value];
  if (name === "response_format" && isObject(value)) return [name, namedSchema(value)];
  return [name, value];
}

/** OpenAI wants a schema to have a name, and has none for plain objects. */
function namedSchema(format: JsonObject): JsonObject {
  const { type, schema, json_schema: given } = format;
  if (isObject(given)) return { type, json_schema: { name: "answer", ...given } };
  return schema === undefined ? { type } : { type: "json_schema", json_schema: { name: "answer", schema } };
}
