import { fc } from "@fast-check/vitest";
import type { JsonObject } from "../json-body.ts";

/** What a chunk of the engine's chats may add to an answer. */
export type ScriptedPiece =
  | { readonly reasoning: string }
  | { readonly content: string }
  | { readonly call: number; readonly name?: string; readonly part: string };

export const TIMINGS: JsonObject = { cache_n: 2, prompt_n: 5, prompt_ms: 10, predicted_n: 3, predicted_ms: 30 };

function deltaOf(piece: ScriptedPiece): JsonObject {
  if ("reasoning" in piece) return { reasoning_content: piece.reasoning };
  if ("content" in piece) return { content: piece.content };
  const { call: index, name, part } = piece;
  const called = { ...(name === undefined ? {} : { name }), ...(part === "" ? {} : { arguments: part }) };
  return { tool_calls: [{ index, ...(name === undefined ? {} : { id: `id${index}`, type: "function" }), function: called }] };
}

/** The chunks of one answer as llama-server streams them: whose turn it is, the pieces, the end, and the count. */
export function chatChunks(pieces: readonly ScriptedPiece[], finish: string, more: JsonObject = {}): readonly JsonObject[] {
  const shared = { created: 1, id: "chatcmpl-x", model: "demo-16l-q8_0", object: "chat.completion.chunk" };
  const chunk = (delta: JsonObject, finish_reason: string | null = null): JsonObject => ({
    ...shared,
    choices: [{ index: 0, delta, finish_reason }],
  });
  const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };
  return [
    chunk({ role: "assistant", content: null }),
    ...pieces.map((piece) => ({ ...chunk(deltaOf(piece)), timings: TIMINGS })),
    { ...chunk({}, finish), ...more },
    { ...shared, choices: [], usage, timings: TIMINGS },
  ];
}

export function chunkBytes(chunk: JsonObject): Buffer {
  return Buffer.from(`data: ${JSON.stringify(chunk)}\n\n`);
}

/** An engine's answer that streams these chunks. */
export function chunksAnswer(chunks: readonly JsonObject[]): Response {
  const bytes = Buffer.concat([...chunks.map(chunkBytes), Buffer.from("data: [DONE]\n\n")]);
  return new Response(bytes, { headers: { "content-type": "text/event-stream" } });
}

const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 });

/** A call of a tool in pieces, its arguments an object. */
const callPieces = (index: number): fc.Arbitrary<readonly ScriptedPiece[]> =>
  fc.tuple(fc.dictionary(text, text, { maxKeys: 3 }), fc.integer({ min: 1, max: 5 })).map(([args, size]) => {
    const json = JSON.stringify(args);
    const parts = Array.from({ length: Math.ceil(json.length / size) }, (_, at) => json.slice(at * size, (at + 1) * size));
    return [{ call: index, name: `tool${index}`, part: "" }, ...parts.map((part) => ({ call: index, part }))];
  });

/** An answer as models give it: thoughts, then text, then calls of tools; each may be absent. */
export const orderedPieces: fc.Arbitrary<readonly ScriptedPiece[]> = fc
  .tuple(
    fc.array(
      text.map((reasoning): ScriptedPiece => ({ reasoning })),
      { maxLength: 4 },
    ),
    fc.array(
      text.map((content): ScriptedPiece => ({ content })),
      { maxLength: 6 },
    ),
    fc.integer({ min: 0, max: 3 }).chain((count) => fc.tuple(...Array.from({ length: count }, (_, index) => callPieces(index)))),
  )
  .map(([thoughts, texts, calls]) => [...thoughts, ...texts, ...calls.flat()]);

/** Thoughts and text in any order, the calls of tools among them. */
export const mixedPieces: fc.Arbitrary<readonly ScriptedPiece[]> = fc
  .array(fc.oneof(fc.constant("reasoning"), fc.constant("content"), fc.constant("call")), { maxLength: 10 })
  .chain((kinds) => {
    let calls = 0;
    return fc.tuple(
      ...kinds.map((kind): fc.Arbitrary<readonly ScriptedPiece[]> => {
        if (kind === "reasoning") return text.map((reasoning) => [{ reasoning }]);
        if (kind === "content") return text.map((content) => [{ content }]);
        calls += 1;
        return callPieces(calls - 1);
      }),
    );
  })
  .map((parts) => parts.flat());
