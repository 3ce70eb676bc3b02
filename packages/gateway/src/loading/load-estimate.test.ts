import { fc } from "@fast-check/vitest";
import { asNodeId } from "@clusterd/wire";
import { expect, test } from "vitest";
import { createLoadEstimates, retryAfterFor, RETRY_AFTER_SECONDS_MAX } from "./load-estimate.ts";
import { preferredWaitSeconds, PREFER_WAIT_SECONDS_MAX } from "./prefer-wait.ts";

const stages = (...parts: readonly (readonly [bytes: number, progress: number])[]) =>
  ({
    head: "h",
    stages: parts.map(([weightBytes, progress], index) => ({ node: index === 0 ? "h" : "w#1", weightBytes, progress })),
  }) as unknown as Parameters<ReturnType<typeof createLoadEstimates>["of"]>[1];
const NODES = [{ id: asNodeId("h"), links: [{ to: asNodeId("w"), rttMs: 1, bytesPerSecond: 10e6 }] }];

test("progress is by weight, and what is left by the speed so far", () => {
  const estimates = createLoadEstimates();
  expect(estimates.of("a", stages([300e6, 0], [100e6, 0]), [], 1_000)).toEqual({
    progress: 0,
    secondsLeft: null,
    retryAfterSeconds: 4,
  });
  const half = estimates.of("a", stages([300e6, 0.5], [100e6, 0.5]), [], 11_000);
  expect(half).toEqual({ progress: 0.5, secondsLeft: 10, retryAfterSeconds: 11 });
  // Another load has its own beginning.
  expect(estimates.of("b", stages([300e6, 0.5], [100e6, 0.5]), [], 11_000).secondsLeft).toBe(null);
});

test("before it shows its speed: by size and link, and at least as long again as it has taken", () => {
  const estimates = createLoadEstimates();
  const at = (nowMs: number): number => estimates.of("a", stages([250e6, 0], [100e6, 0]), NODES, nowMs).retryAfterSeconds;
  // Two seconds besides, one for the disk, ten for the link.
  expect([at(0), at(10_000), at(20_000), at(1e9)]).toEqual([15, 15, 22, 60]);
});

test("when to come back is a whole number of seconds within limits, whatever is told", () => {
  const share = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(1e12), share)), fc.array(fc.tuple(share, fc.nat(1e7))), (parts, looks) => {
      const estimates = createLoadEstimates();
      let nowMs = 0;
      for (const [progress, ms] of looks) {
        nowMs += ms;
        const { retryAfterSeconds, secondsLeft } = estimates.of(
          "a",
          stages(...parts.map(([bytes]) => [bytes, progress] as const)),
          NODES,
          nowMs,
        );
        expect(Number.isInteger(retryAfterSeconds) && retryAfterSeconds >= 1 && retryAfterSeconds <= 60).toBe(true);
        expect(secondsLeft === null || secondsLeft >= 0).toBe(true);
      }
    }),
  );
  expect([retryAfterFor(0), retryAfterFor(1e15)]).toEqual([3, RETRY_AFTER_SECONDS_MAX]);
});

test.each([
  ["wait=10", 10],
  ["respond-async, wait=100", 100],
  ["WAIT = 5; x=1", 5],
  ["wait=5, wait=9", 5],
  ["wait=0", 0],
  ["wait=99999", PREFER_WAIT_SECONDS_MAX],
  ["", null],
  [null, null],
  ["wait", null],
  ["wait=-1", null],
  ["wait=1.5", null],
  ["await=1", null],
])("Prefer: %s", (header, seconds) => expect(preferredWaitSeconds(header)).toBe(seconds));
