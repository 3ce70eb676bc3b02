import { fc, test } from "@fast-check/vitest";
import { expect } from "vitest";
import { vocabularyOf } from "./vocabulary.ts";

const tokens = (count: number): string[] => Array.from({ length: count }, (_, index) => `token ${index}`);

test("the ids are those of tokens that are really put before and after a text", () => {
  const ggml = { model: "llama", tokens: tokens(10), bos_token_id: 1, eos_token_id: 2, add_bos_token: true };
  expect(vocabularyOf(ggml)).toMatchObject({ kind: "llama", size: 10, beginId: 1, endId: null });
  expect(vocabularyOf({ ...ggml, add_eos_token: true, eos_token_id: 2n })).toMatchObject({ endId: 2 });
  expect(vocabularyOf({ model: "llama" })).toBeNull();
  expect(vocabularyOf({ tokens: [] })).toBeNull();
});

test.prop([fc.integer({ min: 6, max: 12_500 }), fc.nat(), fc.nat(128)])(
  "one token changes the digests from its own on; more tokens at the end leave the common ones",
  (size, at, more) => {
    const whole = tokens(size);
    const digests = (of: readonly string[]): readonly string[] => vocabularyOf({ model: "gpt2", tokens: of })?.digests ?? [];
    const place = 5 + (at % (size - 5));
    const own = digests(whole);
    expect(own).toHaveLength(Math.ceil(size / 4096));
    const changed = digests(whole.with(place, "another"));
    for (const [index, digest] of own.entries()) expect(changed[index] === digest).toBe(place >= (index + 1) * 4096);
    const longer = digests(tokens(size + more));
    for (let index = 0; (index + 1) * 4096 <= size; index += 1) expect(longer[index]).toBe(own[index]);
  },
);
test("the first marks may differ", () => {
  const of = (first: string): unknown => vocabularyOf({ model: "gpt2", tokens: tokens(20).with(4, first) })?.digests;
  expect(of("<s>")).toEqual(of("<|begin|>"));
});
