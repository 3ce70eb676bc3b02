import { expect, test } from "vitest";
import { infillTokens } from "./infill-tokens.ts";

const tokens = ["a", "<|fim_prefix|>", "<|fim_middle|>", "b", "<|fim_suffix|>"];

test("marks are found by their words, and by a header's own numbers before that", () => {
  expect(infillTokens({ tokens }, 7)).toEqual({ prefix: 1, suffix: 4, middle: 2, begin: 7 });
  expect(infillTokens({ tokens, fim_pre_token_id: 3n }, null)).toEqual({ prefix: 3, suffix: 4, middle: 2, begin: null });
  expect(infillTokens({ tokens, suffix_token_id: 0 }, null)?.suffix).toBe(0);
});

test.each([{}, { tokens: ["a", "b"] }, { tokens: tokens.slice(0, 4) }, { tokens: "<PRE>" }])(
  "none where one is missing: %o",
  (ggml) => {
    expect(infillTokens(ggml, null)).toBeNull();
  },
);

test("a number beyond the vocabulary is no mark", () => {
  expect(infillTokens({ tokens, fim_pre_token_id: 99 }, null)?.prefix).toBe(1);
});
