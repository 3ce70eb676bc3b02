import { expect, test } from "vitest";
import { createFoundingClock, FOUND_AFTER_MS } from "./founding.ts";

test("nobody there: a cluster is founded after the wait, not before", () => {
  const clock = createFoundingClock();
  expect(clock.isDue(1e9)).toBe(false);
  clock.start(1000);
  expect(clock.isDue(1000 + FOUND_AFTER_MS - 1)).toBe(false);
  expect(clock.isDue(1000 + FOUND_AFTER_MS)).toBe(true);
});

test("whoever keeps showing up holds it up, but not for ever", () => {
  const clock = createFoundingClock();
  clock.start(0);
  for (let nowMs = 0; nowMs < 8_000; nowMs += 500) {
    clock.somebodyIsThere(nowMs);
    expect(clock.isDue(nowMs)).toBe(false);
  }
  expect(clock.isDue(8_000)).toBe(true);
});

test("another who looks as well is waited for once more, whatever the longest", () => {
  const clock = createFoundingClock();
  clock.start(0);
  clock.onceMore(9_000);
  expect(clock.isDue(9_000)).toBe(false);
  expect(clock.isDue(9_000 + FOUND_AFTER_MS)).toBe(true);
});
