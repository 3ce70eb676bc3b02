import { fc, test as property } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import { engineFingerprint, type EngineInputs } from "./fingerprint.ts";

const inputs = fc.record({
  release: fc.string(),
  packageVersion: fc.string(),
  recipe: fc.string(),
  platform: fc.string(),
  variants: fc.array(fc.constantFrom("cuda", "cuda-ext", "vulkan"), { maxLength: 3 }),
});

describe("an engine's fingerprint", () => {
  property.prop([inputs])("is the same for the same inputs and fits a folder's name", (given) => {
    expect(engineFingerprint({ ...given })).toBe(engineFingerprint(given));
    expect(engineFingerprint(given)).toMatch(/^[0-9a-f]{20}$/);
  });

  property.prop([inputs, inputs])("differs where any input differs", (a: EngineInputs, b: EngineInputs) => {
    fc.pre(JSON.stringify(a) !== JSON.stringify(b));
    expect(engineFingerprint(a)).not.toBe(engineFingerprint(b));
  });
});
