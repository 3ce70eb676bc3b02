import { describe, expect, test } from "vitest";
import { durationSeconds } from "./duration.ts";

describe("a duration", () => {
  test.each([
    ["0", 0],
    ["90", 90],
    ["45s", 45],
    ["30m", 1800],
    ["1h30m", 5400],
    ["1.5h", 5400],
    ["2d", 172_800],
    ["forever", null],
    ["-1", null],
    ["-5m", null],
  ])("%s", (text, seconds) => expect(durationSeconds(text, "--keep-alive")).toBe(seconds));

  test.each(["", "soon", "5 minutes", "1h30", "30x", "1e9", "9999999999", "m", "--5"])("%j is none", (text) =>
    expect(() => durationSeconds(text, "--keep-alive")).toThrow("--keep-alive takes a duration"),
  );
});
