import { expect, test } from "vitest";
import type { FetchRecord } from "./daemon-state.ts";
import { afterWord, fetchView } from "./fetch-rate.ts";

const word = (doneBytes: number, atMs: number, totalBytes = 100e6): Parameters<typeof afterWord>[1] => ({
  doneBytes,
  totalBytes,
  atMs,
});

test("a rate is known after a while, follows what comes, and tells how long it takes", () => {
  let record: FetchRecord = afterWord(null, word(20e6, 0));
  expect(fetchView(record)).toEqual({ doneBytes: 20e6, totalBytes: 100e6, bytesPerSecond: null, secondsLeft: null });
  // Of a moment it says nothing yet.
  record = afterWord(record, word(30e6, 100));
  expect(fetchView(record)).toMatchObject({ doneBytes: 30e6, bytesPerSecond: null });
  record = afterWord(record, word(40e6, 1000));
  expect(fetchView(record)).toMatchObject({ bytesPerSecond: 20e6, secondsLeft: 3 });
  // Nothing comes any more: the rate falls, the time left grows.
  record = afterWord(record, word(40e6, 2000));
  expect(fetchView(record).bytesPerSecond).toBeCloseTo(12e6);
  expect(fetchView(record).secondsLeft).toBeCloseTo(5);
  record = afterWord(record, word(100e6, 3000));
  expect(fetchView(record)).toMatchObject({ doneBytes: 100e6, secondsLeft: 0 });
});

test("another attempt, or other layers, begin anew", () => {
  const record = afterWord(afterWord(null, word(20e6, 0)), word(40e6, 1000));
  expect(fetchView(afterWord(record, word(10e6, 2000))).bytesPerSecond).toBeNull();
  expect(fetchView(afterWord(record, word(50e6, 2000, 200e6))).bytesPerSecond).toBeNull();
});
