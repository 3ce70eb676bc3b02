import type { HttpRefusal } from "../http-refusal.ts";
import type { JsonObject } from "../json-body.ts";
import { createAnswerAssembly, type AnswerAssembly } from "./answer-assembly.ts";
import type { EngineEvent } from "./engine-events.ts";

/** Writes one stream down for its client. `null`: nothing is sent. */
export interface StreamWriter {
  /** A chunk of the engine, or its last. */
  event(event: EngineEvent): Uint8Array | null;
  /** A sign of life while there is no token, with what is waited for, e.g. `loading, 43 %`. One line. */
  waiting(text: string): Uint8Array | null;
  /** What is sent for a comment of the engine, by which it only tells that it lives; absent: the comment itself. */
  comment?(): Uint8Array;
  /** What the client is told in place of the rest; nothing follows it. */
  failed(refusal: HttpRefusal): Uint8Array;
  /** After the last chunk. */
  end(): Uint8Array | null;
}

/** How an answer looks in the API it was asked for in. */
export interface AnswerForm {
  readonly contentType: string;
  writer(): StreamWriter;
  /** Puts the engine's stream together where the answer does not stream. */
  assembly(): AnswerAssembly;
  /** The whole answer, as put together, in the client's form. */
  whole(answer: JsonObject): JsonObject;
}

export const SSE_TYPE = "text/event-stream; charset=utf-8";

/** Chat and text completions: the engine speaks that API itself, so its bytes are passed on as they are. */
export function completionForm(errorBody: (refusal: HttpRefusal) => string): AnswerForm {
  return {
    contentType: SSE_TYPE,
    writer: () => ({
      event: ({ bytes }) => bytes,
      waiting: (text) => Buffer.from(`: ${text}\n\n`),
      failed: (refusal) => Buffer.from(`data: ${errorBody(refusal)}\n\n`),
      end: () => Buffer.from("data: [DONE]\n\n"),
    }),
    assembly: createAnswerAssembly,
    whole: (answer) => answer,
  };
}
