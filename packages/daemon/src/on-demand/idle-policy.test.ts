import { fc } from "@fast-check/vitest";
import { expect, test } from "vitest";
import { UNUSED } from "../state/apply.ts";
import type { UseRecord } from "../state/daemon-state.ts";
import { afterLook, FIRST_USE_MS, onDemandView, unloadAtMs, type WorkSeen } from "./idle-policy.ts";

const IDLE: WorkSeen = { busy: false, worked: false };
const BUSY: WorkSeen = { busy: true, worked: true };
const BRIEF: WorkSeen = { busy: false, worked: true };
const asked = (keepAliveSeconds: number | null) => ({ onDemand: { keepAliveSeconds } });

/** The record after looks a second apart. */
function after(...looks: readonly WorkSeen[]): UseRecord {
  return looks.reduce((record, seen, second) => afterLook(record, seen, second * 1000, 1e12 + second * 1000), UNUSED);
}

test("idleness counts from the end of the last work, however brief it was", () => {
  const keep = asked(10);
  expect(unloadAtMs({ asked: keep, use: after(IDLE, BUSY, BUSY) })).toBe(Infinity);
  expect(unloadAtMs({ asked: keep, use: after(IDLE, BUSY, BUSY, IDLE, IDLE) })).toBe(13_000);
  expect(unloadAtMs({ asked: keep, use: after(IDLE, IDLE, BRIEF, IDLE) })).toBe(12_000);
});

test("what nobody has used yet waits for the client that was told to come back", () => {
  expect(unloadAtMs({ asked: asked(0), use: after(IDLE) })).toBe(FIRST_USE_MS);
  expect(unloadAtMs({ asked: asked(0), use: after(IDLE, BRIEF) })).toBe(1_000);
  expect(unloadAtMs({ asked: asked(0), use: after(BRIEF) })).toBe(0);
});

test("what a person loaded stays, and what is to be kept always", () => {
  const use = after(IDLE, BRIEF, IDLE);
  for (const kept of [{}, { onDemand: null }, asked(null)]) expect(unloadAtMs({ asked: kept, use })).toBe(Infinity);
  expect(onDemandView({ asked: {}, use, phase: "ready" })).toBe(null);
  expect(onDemandView({ asked: asked(null), use, phase: "ready" })).toMatchObject({ idle: true, until: null });
  expect(onDemandView({ asked: asked(60), use, phase: "ready" })).toMatchObject({ idle: true, until: 1e12 + 61_000 });
  expect(onDemandView({ asked: asked(60), use: UNUSED, phase: "loading" })).toMatchObject({ idle: false, until: null });
});

test("whatever happens: never unloaded at work, and the last use never goes back", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(IDLE, BUSY, BRIEF), { minLength: 1 }), fc.nat(60), (looks, keep) => {
      const use = after(...looks);
      const last = looks.at(-1);
      const expires = unloadAtMs({ asked: asked(keep), use });
      expect(expires === Infinity).toBe(last?.busy === true);
      const used = looks.findLastIndex(({ busy, worked }) => busy || worked);
      if (used >= 0) expect(expires).toBeGreaterThanOrEqual((used + keep) * 1000);
      expect(use.usedAt).toBeLessThanOrEqual(1e12 + looks.length * 1000);
    }),
  );
});
