import { fc, test } from "@fast-check/vitest";
import { expect } from "vitest";
import { costModel } from "./cost.ts";
import { engineUseOf } from "./engine-use.ts";
import { plan } from "./plan.ts";
import { anyRequest } from "./testing/any-request.ts";

test.prop([anyRequest(3)])("a plan says whether flash attention is used, and never takes less memory without", (request) => {
  const given = { ...request, kv: "f16" } as const;
  const memory = (flashAttention: boolean): number => {
    const { costs } = costModel(request.model, 4096, request.slots, "f16", undefined, engineUseOf({ ...given, flashAttention }));
    return Math.min(costs.headBufferBytes, costs.workerBufferBytes);
  };
  expect(memory(false)).toBeGreaterThan(memory(true));
  const result = plan({ ...given, flashAttention: false });
  if (result.feasible) expect(result.flashAttention).toBe(false);
});

test.prop([anyRequest(3), fc.constantFrom("q8_0" as const, "q4_0" as const)])("a quantised cache needs it", (request, kv) => {
  expect(engineUseOf({ ...request, kv }).flashAttention).toBe(true);
  expect(() => engineUseOf({ ...request, kv, flashAttention: false })).toThrow(/needs flash attention, and it is switched off/);
  const grok = { ...request.model, architecture: "grok" };
  expect(() => engineUseOf({ ...request, kv, model: grok })).toThrow(/is computed without/);
  expect(engineUseOf({ ...request, kv: "f16", model: grok }).flashAttention).toBe(false);
});
