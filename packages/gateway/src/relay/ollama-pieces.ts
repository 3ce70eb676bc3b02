import { isObject, type JsonObject } from "../json-body.ts";

export interface OllamaFormOptions {
  readonly kind: "chat" | "generate";
  /** The model's name as the client gave it: it comes back as it was sent. */
  readonly model: string;
  /** Alternatives to tell of beside every token. */
  readonly alternatives: number;
}

export interface Piece {
  readonly content?: string;
  readonly thinking?: string;
  readonly toolCalls?: readonly JsonObject[];
}

/** A piece of an answer, where Ollama's chats and plain texts keep it. */
export function pieceOf(kind: OllamaFormOptions["kind"], { content = "", thinking = "", toolCalls = [] }: Piece): JsonObject {
  const thought = thinking === "" ? {} : { thinking };
  if (kind === "generate") return { response: content, ...thought };
  const called = toolCalls.length === 0 ? {} : { tool_calls: toolCalls };
  return { message: { role: "assistant", content, ...thought, ...called } };
}

/** Log-probabilities of tokens, with as many alternatives as were asked for. */
export function logprobsOf(tokens: unknown, alternatives: number): readonly JsonObject[] {
  if (!Array.isArray(tokens)) return [];
  return tokens.filter(isObject).map(({ token, logprob, bytes, top_logprobs: top }) => ({
    token,
    logprob,
    bytes,
    ...(alternatives === 0 ? {} : { top_logprobs: logprobsOf(top, 0) }),
  }));
}
