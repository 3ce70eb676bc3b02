import { fc, test } from "@fast-check/vitest";
import { expect } from "vitest";
import { createLineSplitter } from "./line-splitter.ts";
import { createLogTail } from "./log-tail.ts";
import { LINE_BYTES_MAX } from "./process-limits.ts";
import { visibleText } from "./visible-text.ts";

function split(chunks: readonly Buffer[]): string[] {
  const lines: string[] = [];
  const splitter = createLineSplitter((line) => lines.push(line));
  for (const chunk of chunks) splitter.push(chunk);
  splitter.end();
  return lines;
}

const plainLine = fc.string({ unit: "grapheme", maxLength: 50 }).map((text) => text.replaceAll(/[\r\n]/g, ""));

test.prop([fc.array(plainLine, { maxLength: 20 }), fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 30 })])(
  "lines come out whole and in order, wherever the chunks are cut",
  (lines, sizes) => {
    const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
    const chunks: Buffer[] = [];
    for (let start = 0, turn = 0; start < bytes.length; turn++) {
      const size = sizes[turn % sizes.length] ?? 1;
      chunks.push(bytes.subarray(start, start + size));
      start += size;
    }
    expect(split(chunks)).toEqual(lines.map((line) => visibleText(line)));
  },
);

test("a long line is cut and says how much is missing; the next one is whole", () => {
  const long = "x".repeat(LINE_BYTES_MAX + 17);
  expect(split([Buffer.from(`${long}\nnext\nrest`)])).toEqual([`${"x".repeat(LINE_BYTES_MAX)} [17 more bytes]`, "next", "rest"]);
});

test("what steers a terminal is written out; tabs and letters stay", () => {
  expect(split([Buffer.from("\u001b[31mred\u0007\tblå\u202eevil\u009b\r\n")])).toEqual([
    "\\x1b[31mred\\x07\tblå\\u202eevil\\x9b",
  ]);
});

test.prop([fc.array(fc.string({ maxLength: 30 })), fc.integer({ min: 1, max: 10 }), fc.integer({ min: 1, max: 60 })])(
  "the tail is the end of what was said, within both limits",
  (said, linesMax, charactersMax) => {
    const tail = createLogTail(linesMax, charactersMax);
    for (const line of said) tail.push(line);
    const kept = tail.lines();
    expect(kept).toEqual(said.slice(said.length - kept.length));
    expect(kept.length).toBeLessThanOrEqual(linesMax);
    if (kept.length > 1) expect(kept.join("").length).toBeLessThanOrEqual(charactersMax);
    if (said.length > 0) expect(kept.length).toBeGreaterThan(0);
  },
);
