import { fc, test as property } from "@fast-check/vitest";
import { expect, test } from "vitest";
import type { JsonObject } from "../json-body.ts";
import { createAnswerAssembly } from "./answer-assembly.ts";

const SHARED = { created: 1, id: "chatcmpl-x", model: "m", object: "chat.completion.chunk" };

function chatAnswer(deltas: readonly JsonObject[], finish: string | null = "stop", more: JsonObject = {}): JsonObject {
  const assembly = createAnswerAssembly();
  for (const delta of deltas) assembly.add({ ...SHARED, choices: [{ index: 0, delta, finish_reason: null, ...more }] });
  assembly.add({ ...SHARED, choices: [{ index: 0, delta: {}, finish_reason: finish }] });
  assembly.add({ ...SHARED, choices: [], usage: { prompt_tokens: 1, completion_tokens: 2 }, timings: { predicted_n: 2 } });
  return assembly.answer();
}

function cut(text: string, sizes: readonly number[]): readonly string[] {
  const parts: string[] = [];
  let at = 0;
  for (const size of sizes) parts.push(text.slice(at, (at += size)));
  return [...parts, text.slice(at)];
}

property.prop([fc.string({ unit: "binary" }), fc.string(), fc.array(fc.nat(5))])(
  "however text, reasoning and arguments are cut, the answer has them whole",
  (text, given, sizes) => {
    const call = { index: 0, id: "c", type: "function", function: { name: "f", arguments: "" } };
    const answer = chatAnswer([
      { role: "assistant", content: null },
      ...cut(given, sizes).map((part) => ({ reasoning_content: part })),
      ...cut(text, sizes).map((part) => ({ content: part })),
      { tool_calls: [call] },
      ...cut(given, sizes).map((part) => ({ tool_calls: [{ index: 0, function: { arguments: part } }] })),
    ]);
    expect(answer["choices"]).toEqual([
      {
        index: 0,
        finish_reason: "stop",
        message: {
          role: "assistant",
          content: text === "" ? null : text,
          ...(given === "" ? {} : { reasoning_content: given }),
          tool_calls: [{ id: "c", type: "function", function: { name: "f", arguments: given } }],
        },
      },
    ]);
  },
);

test("the answer bears what an answer bears", () => {
  expect(chatAnswer([{ content: "hi" }])).toEqual({
    created: 1,
    id: "chatcmpl-x",
    model: "m",
    object: "chat.completion",
    choices: [{ index: 0, message: { role: "assistant", content: "hi" }, finish_reason: "stop" }],
    usage: { prompt_tokens: 1, completion_tokens: 2 },
    timings: { predicted_n: 2 },
  });
  expect(chatAnswer([])["choices"]).toEqual([{ index: 0, message: { role: "assistant", content: "" }, finish_reason: "stop" }]);
});

test("several calls keep their order, log-probabilities theirs", () => {
  const calls = [0, 1].map((index) => ({ index, id: `c${index}`, function: { name: `f${index}`, arguments: "{}" } }));
  const answer = chatAnswer([{ tool_calls: calls }], "tool_calls", { logprobs: { content: [{ token: "a" }] } });
  expect(answer["choices"]).toMatchObject([
    {
      finish_reason: "tool_calls",
      logprobs: { content: [{ token: "a" }] },
      message: {
        tool_calls: [
          { id: "c0", function: { name: "f0" } },
          { id: "c1", function: { name: "f1" } },
        ],
      },
    },
  ]);
});

test("text completions", () => {
  const assembly = createAnswerAssembly();
  const shared = { ...SHARED, object: "text_completion" };
  for (const text of ["a", "b"]) assembly.add({ ...shared, choices: [{ index: 0, text, logprobs: null, finish_reason: null }] });
  assembly.add({
    ...shared,
    choices: [{ index: 0, text: "", logprobs: null, finish_reason: "length" }],
    usage: { prompt_tokens: 1 },
  });
  expect(assembly.answer()).toEqual({
    ...shared,
    choices: [{ index: 0, text: "ab", logprobs: null, finish_reason: "length" }],
    usage: { prompt_tokens: 1 },
  });
});

test("an answer without an end is none", () => {
  expect(() => chatAnswer([{ content: "a" }], null)).toThrow(/no end/);
  expect(() => createAnswerAssembly().answer()).toThrow(/no end/);
});
