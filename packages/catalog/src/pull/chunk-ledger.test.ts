import { fc, test } from "@fast-check/vitest";
import { expect } from "vitest";
import { createLedger, parseLedger } from "./chunk-ledger.ts";

const shape = fc.record({
  fileBytes: fc.integer({ min: 1, max: 1_500 }),
  chunkBytes: fc.integer({ min: 1, max: 300 }),
  done: fc.array(fc.nat(2_000), { maxLength: 60 }),
});

test.prop([shape])("what is done and what is missing are the whole file, once each, and read back the same", (given) => {
  const { fileBytes, chunkBytes, done } = given;
  const ledger = createLedger(fileBytes, chunkBytes);
  for (const chunk of done) ledger.add(chunk, chunk * 7);
  const covered = new Uint8Array(fileBytes);
  let doneBytes = 0;
  for (let chunk = 0; chunk < ledger.count; chunk++) {
    const [first, last] = ledger.range(chunk);
    for (let at = first; at <= last; at++) covered[at] = (covered[at] ?? 0) + 1;
    if (ledger.isDone(chunk)) doneBytes += last - first + 1;
    expect(ledger.missing().includes(chunk)).toBe(!ledger.isDone(chunk));
  }
  expect(covered.every((times) => times === 1)).toBe(true);
  expect(ledger.doneBytes).toBe(doneBytes);
  const again = parseLedger(ledger.text("sha"), "sha", fileBytes, chunkBytes);
  expect(again?.missing()).toEqual(ledger.missing());
  expect(again?.doneBytes).toBe(doneBytes);
  for (const chunk of new Set(done)) {
    const isIn = chunk < ledger.count;
    expect(again?.sum(chunk)).toBe(isIn ? chunk * 7 : null);
    again?.remove(chunk);
    expect(again?.isDone(chunk)).toBe(false);
  }
  expect(again?.doneBytes).toBe(0);
});

test.prop([shape, fc.string()])("a record of something else is no record", ({ fileBytes, chunkBytes }, other) => {
  const text = createLedger(fileBytes, chunkBytes).text("sha");
  expect(parseLedger(text, "other", fileBytes, chunkBytes)).toBeNull();
  expect(parseLedger(text, "sha", fileBytes + 1, chunkBytes)).toBeNull();
  expect(parseLedger(text, "sha", fileBytes, chunkBytes + 1)).toBeNull();
  expect(parseLedger(text.slice(0, -1), "sha", fileBytes, chunkBytes)).toBeNull();
  expect(parseLedger(other, "sha", fileBytes, chunkBytes)).toBeNull();
  expect(parseLedger(text.replace(/"done":"[^"]*"/u, '"done":"AAAA=AAAAAAAA"'), "sha", 1, 700)).toBeNull();
});
