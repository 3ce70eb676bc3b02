import { fc } from "@fast-check/vitest";
import { describe, expect, test } from "vitest";
import { HttpRefusal } from "../http-refusal.ts";
import type { JsonObject } from "../json-body.ts";
import { chatChunks, chunkBytes, mixedPieces, orderedPieces, TIMINGS, type ScriptedPiece } from "../testing/chat-chunks.ts";
import { createEventSplitter } from "./engine-events.ts";
import { ollamaDurations, ollamaForm } from "./ollama-form.ts";
import type { OllamaFormOptions } from "./ollama-pieces.ts";

const CHAT: OllamaFormOptions = { kind: "chat", model: "demo:latest", alternatives: 0 };
const GENERATE: OllamaFormOptions = { ...CHAT, kind: "generate" };

interface Line {
  readonly model: string;
  readonly created_at: string;
  readonly done: boolean;
  readonly done_reason?: string;
  readonly message?: {
    readonly role: string;
    readonly content: string;
    readonly thinking?: string;
    readonly tool_calls?: readonly unknown[];
  };
  readonly response?: string;
  readonly thinking?: string;
  readonly logprobs?: readonly JsonObject[];
}

function streamed(chunks: readonly JsonObject[], options: OllamaFormOptions): readonly Line[] {
  const writer = ollamaForm(options).writer();
  const sent = createEventSplitter()
    .push(Buffer.concat(chunks.map(chunkBytes)))
    .map((event) => writer.event(event));
  const text = [...sent, writer.end()].map((bytes) => (bytes === null ? "" : Buffer.from(bytes).toString())).join("");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
}

function whole(chunks: readonly JsonObject[], options: OllamaFormOptions): Line {
  const form = ollamaForm(options);
  const assembly = form.assembly();
  for (const chunk of chunks) assembly.add(chunk);
  return form.whole(assembly.answer()) as unknown as Line;
}

/** What a client puts together from a chat's lines. */
function reassembled(lines: readonly Line[]): unknown {
  expect(lines.map(({ done }) => done)).toEqual([...lines.slice(1).map(() => false), true]);
  const messages = lines.map(({ message }) => message ?? { role: "", content: "" });
  expect(new Set(messages.map(({ role }) => role))).toEqual(new Set(["assistant"]));
  return {
    content: messages.map(({ content }) => content).join(""),
    thinking: messages.map(({ thinking = "" }) => thinking).join(""),
    calls: messages.flatMap(({ tool_calls: calls = [] }) => calls),
    reason: lines.at(-1)?.done_reason,
  };
}

describe("what a client makes of a stream is the whole answer", () => {
  test.each([
    ["in the order models answer in", orderedPieces],
    ["in any order", mixedPieces],
  ])("%s", (_, pieces) => {
    fc.assert(
      fc.property(pieces, (said) => {
        const chunks = chatChunks(said, said.some((piece) => "call" in piece) ? "tool_calls" : "stop");
        expect(reassembled(streamed(chunks, CHAT))).toEqual(reassembled([whole(chunks, CHAT)]));
      }),
    );
  });

  test("of a plain text", () => {
    const said: readonly ScriptedPiece[] = [{ reasoning: "h" }, { reasoning: "m" }, { content: "Pa" }, { content: "ris" }];
    const chunks = chatChunks(said, "length");
    const lines = streamed(chunks, GENERATE);
    const { response, thinking, done_reason: reason } = whole(chunks, GENERATE);
    expect(lines.map((line) => line.response ?? "").join("")).toBe(response);
    expect(lines.map((line) => line.thinking ?? "").join("")).toBe(thinking);
    expect([response, thinking, reason, lines.at(-1)?.done_reason]).toEqual(["Paris", "hm", "length", "length"]);
    expect(lines.every(({ message }) => message === undefined)).toBe(true);
  });
});

test("calls of tools are told whole, each as soon as it is, and numbered", () => {
  const said = [
    { call: 0, name: "f", part: '{"a"' },
    { call: 0, part: ":1}" },
    { call: 1, name: "g", part: "" },
  ];
  const lines = streamed(chatChunks(said, "tool_calls"), CHAT);
  expect(lines.flatMap(({ message }) => message?.tool_calls ?? [])).toEqual([
    { id: "id0", function: { index: 0, name: "f", arguments: { a: 1 } } },
    { id: "id1", function: { index: 1, name: "g", arguments: {} } },
  ]);
  expect(lines.at(-1)?.done_reason).toBe("stop");
});

test("every line names the model as it was asked for, and the time", () => {
  for (const { model, created_at: at } of streamed(chatChunks([{ content: "x" }], "stop"), CHAT)) {
    expect([model, new Date(at).toISOString()]).toEqual(["demo:latest", at]);
  }
});

test("the last line tells what the engine took, in nanoseconds", () => {
  const expected = { prompt_eval_count: 7, prompt_eval_duration: 10e6, eval_count: 3, eval_duration: 30e6 };
  const chunks = chatChunks([{ content: "x" }], "stop");
  expect(streamed(chunks, CHAT).at(-1)).toMatchObject(expected);
  expect(whole(chunks, GENERATE)).toMatchObject(expected);
});

test("the wait is what the engine did not work", () => {
  const timings = { cachedTokens: 0, promptTokens: 1, promptMs: 100, answerTokens: 1, answerMs: 200 };
  const { total_duration: total, load_duration: load } = ollamaDurations(performance.now() - 1_000, timings);
  expect(Number(total) - Number(load)).toBeCloseTo(300e6, -1);
  expect(ollamaDurations(performance.now(), timings)).toMatchObject({ load_duration: 0 });
  expect(TIMINGS["prompt_ms"]).toBe(10);
});

test("likelihoods come with their tokens, and with as many alternatives as were asked for", () => {
  const token = { id: 1, token: "Pa", logprob: -0.5, bytes: [80, 97] };
  const logprobs = { content: [{ ...token, top_logprobs: [token] }] };
  const [first, second, ...rest] = chatChunks([{ content: "Pa" }], "stop");
  const [choice] = (second?.["choices"] ?? []) as readonly JsonObject[];
  const chunks = [first ?? {}, { ...second, choices: [{ ...choice, logprobs }] }, ...rest];
  const { id: _, ...told } = token;
  expect(streamed(chunks, CHAT)[0]?.logprobs).toEqual([told]);
  expect(whole(chunks, { ...CHAT, alternatives: 1 }).logprobs).toEqual([{ ...told, top_logprobs: [told] }]);
});

test("waiting is a line without text, failing one with the error alone", () => {
  const writer = ollamaForm(CHAT).writer();
  const line = (bytes: Uint8Array | null): unknown => JSON.parse(Buffer.from(bytes ?? []).toString());
  const waiting = { done: false, status: "queued, position 2", message: { role: "assistant", content: "" } };
  expect(line(writer.waiting("queued, position 2"))).toMatchObject(waiting);
  expect(line(writer.failed(new HttpRefusal(503, "engine_crashed", "It broke.")))).toEqual({ error: "It broke." });
});
