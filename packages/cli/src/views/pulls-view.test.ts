import { expect, test } from "vitest";
import { pullLine } from "./pulls-view.ts";

test("a pull tells its share, sizes, rate and the time left", () => {
  const view = {
    ref: "hf:o/r",
    step: "fetching",
    doneBytes: 2e9,
    totalBytes: 8e9,
    bytesPerSecond: 50e6,
    secondsLeft: 120,
  } as const;
  expect(pullLine(view)).toBe("hf:o/r  ████░░░░░░░░░░░░ 25 %  2.0 GB of 8.0 GB  50.0 MB/s, 120 s left");
  expect(pullLine({ ...view, secondsLeft: null, bytesPerSecond: 0 })).not.toContain("left");
  expect(pullLine({ ...view, step: "verifying" })).toMatch(/verifying$/u);
  expect(pullLine({ ...view, step: "listing", totalBytes: 0 })).toBe("hf:o/r  asking the hub");
  expect(pullLine({ ...view, ref: "hf:o/\u001b[31mr" })).not.toContain("\u001b");
});
