import { fc } from "@fast-check/vitest";
import { expect, test } from "vitest";
import { createRateLimit, type Clock } from "./rate-limit.ts";

const { signal } = new AbortController();

/** A clock that is where it was waited to. */
function fakeClock(): Clock & { ms: number } {
  const clock = {
    ms: 0,
    nowMs: () => clock.ms,
    async wait(ms: number, within: AbortSignal) {
      within.throwIfAborted();
      clock.ms += ms;
    },
  };
  return clock;
}

test("whatever the sizes and whoever asks, no more passes than the rate and one burst and one piece", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1_000, max: 10 ** 9 }),
      fc.array(fc.integer({ min: 1, max: 2_000_000 }), { minLength: 1, maxLength: 40 }),
      async (rate, sizes) => {
        const clock = fakeClock();
        const limit = createRateLimit(rate, clock);
        let passed = 0;
        await Promise.all(
          sizes.map(async (bytes) => {
            await limit.take(bytes, signal);
            // What passed before this piece has been paid for.
            expect(passed).toBeLessThanOrEqual((rate * clock.ms) / 1000 + rate * 0.1 + 1);
            passed += bytes;
          }),
        );
        // And not much slower either: all but the last piece's time has passed, a millisecond lost at each wait.
        const before = passed - (sizes.at(-1) ?? 0);
        expect(clock.ms).toBeLessThanOrEqual((before / rate) * 1000 + sizes.length + 1);
      },
    ),
  );
});

test("those who ask get their turns in order, and one who leaves holds up nobody", async () => {
  const clock = fakeClock();
  const limit = createRateLimit(1_000, clock);
  const order: number[] = [];
  const gone = new AbortController();
  const all = [0, 1, 2, 3].map((one) =>
    limit.take(1_000, one === 1 ? gone.signal : signal).then(
      () => order.push(one),
      () => order.push(-one),
    ),
  );
  gone.abort();
  await Promise.all(all);
  expect(order).toEqual([0, -1, 2, 3]);
});

test("without a limit nothing waits", async () => {
  const clock = fakeClock();
  const limit = createRateLimit(null, clock);
  await limit.take(10 ** 12, signal);
  expect(clock.ms).toBe(0);
  expect(limit.bytesPerSecond).toBeNull();
});
