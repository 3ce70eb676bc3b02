import { fc, test } from "@fast-check/vitest";
import { expect, test as plain } from "vitest";
import { chooseEvictions, EVICTION_ORDER, shortage, type Evictable, type RoomQuestion } from "./choose-evictions.ts";

const bytes = fc.integer({ min: 0, max: 1_000 });
const question: fc.Arbitrary<RoomQuestion> = fc.record({
  bytesNeeded: bytes,
  bytesPromised: fc.integer({ min: 0, max: 100 }),
  freeBytes: fc.option(bytes),
  reserveBytes: fc.integer({ min: 0, max: 100 }),
  usedBytes: bytes,
  capBytes: fc.option(bytes),
});
const evictable: fc.Arbitrary<Evictable> = fc.record({
  kind: fc.constantFrom(...EVICTION_ORDER),
  bytes: fc.integer({ min: 0, max: 500 }),
  usedAt: fc.integer({ min: 0, max: 20 }),
  inUse: fc.boolean(),
});
const sum = (list: readonly Evictable[]): number => list.reduce((total, one) => total + one.bytes, 0);
const rank = ({ kind, usedAt }: Evictable): number => EVICTION_ORDER.indexOf(kind) * 1_000 + usedAt;

test.prop([question, fc.array(evictable, { maxLength: 12 })])(
  "what is in use never goes; enough goes or nothing; the least recently used of its kind first, and no more than it takes",
  (asked, kept) => {
    const short = shortage(asked).bytes;
    const choice = chooseEvictions(asked, kept);
    const free = kept.filter((one) => !one.inUse);
    if (!("evict" in choice)) {
      expect(sum(free)).toBeLessThan(short);
      expect(choice.shortBytes).toBe(short - sum(free));
      expect(choice.inUse).toEqual(kept.filter((one) => one.inUse));
      return;
    }
    const { evict } = choice;
    expect(sum(free)).toBeGreaterThanOrEqual(short);
    expect(evict.every((one) => !one.inUse && kept.includes(one))).toBe(true);
    expect(new Set(evict).size).toBe(evict.length);
    expect(sum(evict)).toBeGreaterThanOrEqual(short);
    // Without the last of them it would not have been enough.
    if (evict.length > 0) expect(sum(evict.slice(0, -1))).toBeLessThan(short);
    const stays = free.filter((one) => !evict.includes(one) && one.bytes > 0);
    for (const gone of evict) for (const one of stays) expect(rank(gone)).toBeLessThanOrEqual(rank(one));
    // And then it fits.
    const after = {
      ...asked,
      usedBytes: asked.usedBytes - sum(evict),
      freeBytes: asked.freeBytes === null ? null : asked.freeBytes + sum(evict),
    };
    expect(shortage(after).bytes).toBe(0);
  },
);

plain("the limit that is shorter is named", () => {
  const asked = { bytesNeeded: 10, bytesPromised: 0, freeBytes: 100, reserveBytes: 5, usedBytes: 50, capBytes: 55 };
  expect(chooseEvictions(asked, [])).toMatchObject({ limit: "cap", shortBytes: 5 });
  expect(chooseEvictions({ ...asked, freeBytes: 2 }, [])).toMatchObject({ limit: "disk", shortBytes: 13 });
  expect(chooseEvictions({ ...asked, capBytes: 60 }, [])).toEqual({ evict: [] });
});
