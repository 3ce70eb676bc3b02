import { ClusterdError } from "@clusterd/wire";
import { isObject, type JsonObject } from "../json-body.ts";

const MESSAGE_LENGTH_MAX = 2_000;
/** What embeddings are made of is measured against a batch, and told as a fault of the server. */
const TEXT_TOO_LONG = /^input \((\d+) tokens\) is (?:too large to process.*size: (\d+)|larger than the max context size \((\d+))/;
/** The engine reports what a model cannot take in as a fault of the server. */
const CANNOT = /^(image|audio|video) input is not supported/;

/** llama-server's error answer in our words. `promptParam`: the field that holds the prompt. */
export function engineRefusal(status: number, text: string, promptParam: string): ClusterdError {
  return engineError(parseError(text), status, text, promptParam);
}

/** The same for the `error` object of an event in a stream. */
export function engineEventRefusal(event: unknown, promptParam: string): ClusterdError {
  const error = isObject(event) && isObject(event["error"]) ? event["error"] : {};
  const status = typeof error["code"] === "number" ? error["code"] : 500;
  return engineError(error, status, JSON.stringify(event), promptParam);
}

function parseError(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) && isObject(value["error"]) ? value["error"] : {};
  } catch {
    return {};
  }
}

function engineError(error: JsonObject, status: number, text: string, promptParam: string): ClusterdError {
  const { type, message: said } = error;
  const message = (typeof said === "string" ? said : text).slice(0, MESSAGE_LENGTH_MAX);
  if (type === "exceed_context_size_error") return contextExceeded(error, promptParam);
  const [, tokens, batch, context] = TEXT_TOO_LONG.exec(message) ?? [];
  if (tokens !== undefined) return contextExceeded({ n_prompt_tokens: tokens, n_ctx: batch ?? context }, promptParam);
  if (CANNOT.test(message)) {
    return new ClusterdError(
      "unsupported",
      `This model cannot take this in: ${message.slice(0, message.indexOf(" is "))} is not supported.`,
    );
  }
  if (status === 501) return new ClusterdError("unsupported", `The engine cannot do this: ${message}`);
  if (status === 503) return new ClusterdError("model_not_ready", `The engine is not ready: ${message}`);
  if (status === 400 || status === 422) return new ClusterdError("invalid_request", message);
  return new ClusterdError("failed", `The engine answered ${status}: ${message}`);
}

function contextExceeded(error: JsonObject, param: string): ClusterdError {
  const { n_prompt_tokens: prompt, n_ctx: context } = error;
  return new ClusterdError(
    "context_length_exceeded",
    `The prompt has ${String(prompt)} tokens, but this model runs with a context of ${String(context)} tokens.`,
    {
      param,
      next: "Shorten the prompt, or load the model with a larger context.",
      details: { promptTokens: prompt, contextTokens: context },
    },
  );
}
