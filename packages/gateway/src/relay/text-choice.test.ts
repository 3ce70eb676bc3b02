import { describe, expect, test } from "vitest";
import { createAnswerAssembly } from "./answer-assembly.ts";
import { textChoice } from "./text-choice.ts";

const token = (text: string, logprob: number) => ({
  token: text,
  logprob,
  id: 1,
  bytes: [],
  top_logprobs: [
    { token: text, logprob },
    { token: "other", logprob: -9 },
  ],
});
const chunk = (text: string, ...content: readonly object[]) => ({
  object: "text_completion",
  choices: [{ index: 0, text, logprobs: content.length === 0 ? null : { content }, finish_reason: null }],
});

describe("a text completion's choice", () => {
  test("log-probabilities side by side, offsets in characters", () => {
    const reshape = textChoice({ echo: "", alternatives: 1 });
    const [first, second] = [reshape(chunk("😀b", token("😀", -0.5), token("b", -1))), reshape(chunk("c", token("c", -2)))];
    expect(first).toMatchObject({
      choices: [
        {
          text: "😀b",
          logprobs: {
            tokens: ["😀", "b"],
            token_logprobs: [-0.5, -1],
            top_logprobs: [{ "😀": -0.5 }, { b: -1 }],
            text_offset: [0, 1],
          },
        },
      ],
    });
    expect(second).toMatchObject({ choices: [{ logprobs: { tokens: ["c"], text_offset: [2] } }] });
  });

  test("without alternatives the list of them is null; one that was not drawn first is listed all the same", () => {
    expect(textChoice({ echo: "", alternatives: 0 })(chunk("a", token("a", -1)))).toMatchObject({
      choices: [{ logprobs: { tokens: ["a"], top_logprobs: null } }],
    });
    const drawn = { ...token("a", -3), top_logprobs: [{ token: "b", logprob: -1 }] };
    expect(textChoice({ echo: "", alternatives: 1 })(chunk("a", drawn))).toMatchObject({
      choices: [{ logprobs: { top_logprobs: [{ a: -3, b: -1 }] } }],
    });
  });

  test("the echo stands before the first chunk with a choice, once", () => {
    const reshape = textChoice({ echo: "ask: ", alternatives: null });
    expect(reshape({ choices: [] })).toEqual({ choices: [] });
    expect(reshape(chunk("a"))).toMatchObject({ choices: [{ text: "ask: a", logprobs: null }] });
    expect(reshape(chunk("b"))).toMatchObject({ choices: [{ text: "b" }] });
  });

  test("put together, the lists of all chunks follow each other", () => {
    const reshape = textChoice({ echo: "", alternatives: 1 });
    const assembly = createAnswerAssembly();
    assembly.add(reshape(chunk("a", token("a", -1))));
    assembly.add(reshape(chunk("b", token("b", -2))));
    assembly.add({ ...chunk(""), choices: [{ index: 0, text: "", logprobs: null, finish_reason: "stop" }] });
    expect(assembly.answer()).toMatchObject({
      choices: [{ text: "ab", logprobs: { tokens: ["a", "b"], token_logprobs: [-1, -2], text_offset: [0, 1] } }],
    });
  });
});
