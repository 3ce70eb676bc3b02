import { expect, test } from "vitest";
import { parseCanary } from "./alias.ts";

test.each([
  ["big=10%", { model: "big", share: 0.1 }],
  ["hf:a/b=c:Q4=0.5 %", { model: "hf:a/b=c:Q4", share: 0.005 }],
  ["m=100%", { model: "m", share: 1 }],
])("--canary %s", (given, canary) => expect(parseCanary(given)).toEqual(canary));

test.each(["big", "big=", "=10%", "big=10", "big=0%", "big=101%", "big=-1%", "big=x%"])("--canary %s is refused", (given) => {
  expect(() => parseCanary(given)).toThrow(/takes MODEL=SHARE%/);
});
