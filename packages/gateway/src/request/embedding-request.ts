import type { AnswerForm } from "../relay/answer-form.ts";
import { isObject, type JsonObject } from "../json-body.ts";
import { EMBEDDING_INPUTS_MAX } from "../limits.ts";
import { invalidField, oneOf, pickFields, refused, type FieldRule, type FieldRules } from "./field-rules.ts";
import { COMPLETION_FORM, type GenerationRequest } from "./generation-request.ts";
import { isTokens, type Prompt } from "./prompt-field.ts";

const FLOAT_BYTES = 4;

/** One text, or up to so many: each a string or its token ids. */
const input: FieldRule = (value, param) => {
  if (typeof value === "string" || isTokens(value)) return [value];
  if (!Array.isArray(value) || value.length === 0 || value.length > EMBEDDING_INPUTS_MAX) {
    throw invalidField(param, `must be a string, an array of token ids, or up to ${EMBEDDING_INPUTS_MAX} of these`);
  }
  return value.map((item: unknown, at): Prompt => {
    if (typeof item === "string" || isTokens(item)) return item;
    throw invalidField(`${param}[${at}]`, "must be a string or an array of token ids");
  });
};

const EMBEDDING_FIELDS: FieldRules = {
  input,
  encoding_format: oneOf("float", "base64"),
  dimensions: refused("is not supported: vectors have the length the model gives them"),
  stream: refused("is not supported: an embedding comes at once"),
};

/** A body of `/v1/embeddings`, checked. The whole batch is one request of the engine. */
export function embeddingRequest(body: JsonObject): GenerationRequest {
  if (body["input"] === undefined || body["input"] === null) throw invalidField("input", "is missing");
  const { input: texts, encoding_format: format } = pickFields(body, EMBEDDING_FIELDS);
  return {
    path: "/v1/embeddings",
    promptParam: "input",
    makes: "embeddings",
    form: format === "base64" ? PACKED : PLAIN,
    stream: false,
    includeUsage: false,
    // Packed numbers are a quarter as many bytes on their way here.
    jobs: [{ index: 0, countsPrompt: true, body: { input: texts, encoding_format: "base64" } }],
  };
}

const PACKED: AnswerForm = COMPLETION_FORM;
const PLAIN: AnswerForm = { ...COMPLETION_FORM, whole: (answer) => ({ ...answer, data: unpacked(answer["data"]) }) };

/** Vectors as lists of numbers. */
function unpacked(data: unknown): unknown {
  if (!Array.isArray(data)) return data;
  return data.map((item: unknown) => {
    if (!isObject(item) || typeof item["embedding"] !== "string") return item;
    const { encoding_format: _, ...others } = item;
    return { ...others, embedding: floatsOf(item["embedding"]) };
  });
}

/** The 32-bit floats of a packed vector, lowest byte first. */
export function floatsOf(packed: string): readonly number[] {
  const bytes = Buffer.from(packed, "base64");
  return Array.from({ length: Math.floor(bytes.length / FLOAT_BYTES) }, (_, at) => bytes.readFloatLE(at * FLOAT_BYTES));
}
