import { expect } from "vitest";
import { fc, test } from "@fast-check/vitest";
import { printable, printableLines } from "./printable.ts";

test("ordinary text stays as it is", () => {
  expect(printable("mini-1 · Grüße 日本 🙂")).toBe("mini-1 · Grüße 日本 🙂");
});

test("what drives a terminal or reorders text is made visible", () => {
  expect(printable("a\u001b[2Jb")).toBe("a\\x1b[2Jb");
  expect(printable("a\u202eb\u2028c\nd")).toBe("a\\u{202e}b\\u{2028}c\\x0ad");
});

test("line breaks and tabs stay in text of several lines, nothing else does", () => {
  expect(printableLines("a\n\tb\r\u0007")).toBe("a\n\tb\\x0d\\x07");
});

test.prop([fc.string({ unit: "binary" })])("no control or format character is left", (text) => {
  expect(printable(text)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
});
