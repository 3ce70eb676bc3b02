import { fc } from "@fast-check/vitest";
import { expect, test } from "vitest";
import { fewestEvictions } from "./fewest-evictions.ts";

interface Loaded {
  readonly node: number;
  readonly bytes: number;
}

const NODES = 3;
const loaded = fc.array(fc.record({ node: fc.nat(NODES - 1), bytes: fc.integer({ min: 1, max: 8 }) }), { maxLength: 8 });
const needed = fc.array(fc.nat(12), { minLength: NODES, maxLength: NODES });

/** Every node has the room it needs once these are gone. */
function fitsWith(need: readonly number[]): (gone: readonly Loaded[]) => boolean {
  return (gone) =>
    need.every((bytes, node) => gone.filter((one) => one.node === node).reduce((sum, one) => sum + one.bytes, 0) >= bytes);
}

test("what goes makes room, and nothing of it goes in vain", () => {
  fc.assert(
    fc.property(loaded, needed, (all, need) => {
      const fits = fitsWith(need);
      const gone = fewestEvictions(all, fits);
      expect(fits(gone ?? all)).toBe(gone !== null);
      for (const one of gone ?? []) expect(fits((gone ?? []).filter((other) => other !== one))).toBe(false);
    }),
  );
});

test("what is younger than the oldest that make room is left alone", () => {
  fc.assert(
    fc.property(loaded, needed, (all, need) => {
      const fits = fitsWith(need);
      const gone = fewestEvictions(all, fits) ?? [];
      const oldest = all.findIndex((_, index) => fits(all.slice(0, index + 1)));
      for (const one of gone) expect(all.indexOf(one)).toBeLessThanOrEqual(oldest);
    }),
  );
});

test("alike ones go in the order of their last use", () => {
  const all = [1, 2, 3, 4].map((at) => ({ at }));
  expect(fewestEvictions(all, (gone) => gone.length >= 2)).toEqual([{ at: 1 }, { at: 2 }]);
  expect(fewestEvictions(all, () => true)).toEqual([]);
  expect(fewestEvictions(all, () => false)).toBe(null);
});
