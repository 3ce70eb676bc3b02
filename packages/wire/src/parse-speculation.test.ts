import { fc, test } from "@fast-check/vitest";
import { expect } from "vitest";
import { ClusterdError } from "./errors.ts";
import { plannedSpeculation, share, vocabulary } from "./parse-speculation.ts";

test("a planned speculation is checked, and more than it has is dropped", () => {
  const draft = { model: "small", contentId: "c", memoryBytes: 5 };
  expect(plannedSpeculation({ type: "draft", draft: { ...draft, path: "/etc" } }, "speculation")).toEqual({
    type: "draft",
    draft,
  });
  expect(plannedSpeculation({ type: "ngram" }, "speculation")).toEqual({ type: "ngram", draft: null });
  expect(() => plannedSpeculation({ type: "guess" }, "speculation")).toThrow(/speculation\.type/);
  expect(() => plannedSpeculation({ type: "draft", draft: { ...draft, memoryBytes: -1 } }, "speculation")).toThrow(/memoryBytes/);
});

test("a vocabulary has no more digests than tokens allow", () => {
  const words = { kind: "gpt2", size: 5000, beginId: null, endId: 2, digests: ["a", "b"] };
  expect(vocabulary(words, "vocabulary")).toEqual(words);
  expect(() => vocabulary({ ...words, digests: Array<string>(2000).fill("a") }, "vocabulary")).toThrow(/digests/);
});

test.prop([fc.anything()])("whatever is told of an acceptance, it is a share or refused by name", (value) => {
  try {
    const found = share(value, "acceptance");
    expect(found >= 0 && found <= 1).toBe(true);
  } catch (error) {
    expect(error).toBeInstanceOf(ClusterdError);
  }
});
