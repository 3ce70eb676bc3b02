import { fc, test as property } from "@fast-check/vitest";
import { describe, expect, test } from "vitest";
import { createSlotQueue, type SlotQueue } from "./slot-queue.ts";

interface Entry {
  readonly id: number;
  readonly caller: string;
}

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("enter"), caller: fc.constantFrom("a", "b", "c", "d"), more: fc.boolean() }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("end"), at: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("go"), at: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("slots"), slots: fc.integer({ min: 0, max: 4 }) }) },
);

function newQueue(slots: number, waitingMax = 1_000): SlotQueue<Entry> {
  return createSlotQueue<Entry>({ slots, waitingMax, moreMax: 4 });
}

function fill(queue: SlotQueue<Entry>, caller: string, count: number): Entry[] {
  const entries = Array.from({ length: count }, (_, id) => ({ id, caller }));
  return entries.filter((entry) => queue.enter(entry, { caller }));
}

describe("whatever happens", () => {
  property.prop([fc.array(step, { maxLength: 200 }), fc.integer({ min: 1, max: 4 })])(
    "every entry ends once, no more turns are out than there are slots, a bounded number waits, each waits a round at most",
    (steps, slotsAtFirst) => {
      let slots = slotsAtFirst;
      const queue = newQueue(slots, 8);
      const turns = new Set<Entry>();
      const ended = new Map<Entry, string>();
      let entered = 0;
      /** Of each waiting caller: turns that others had since it waits. */
      const passedBy = new Map<string, string[]>();
      const end = (entry: Entry, how: string): void => {
        expect(ended.has(entry)).toBe(false);
        ended.set(entry, how);
      };
      const admit = (): void => {
        const before = queue.order();
        const admitted = queue.admit();
        expect(admitted).toEqual(before.slice(0, admitted.length));
        for (const entry of admitted) {
          turns.add(entry);
          passedBy.delete(entry.caller);
          for (const passed of passedBy.values()) passed.push(entry.caller);
        }
        for (const { caller } of queue.order()) if (!passedBy.has(caller)) passedBy.set(caller, []);
        for (const passed of passedBy.values()) expect(new Set(passed).size).toBe(passed.length);
      };
      for (const now of steps) {
        if (now.do === "enter" && "caller" in now) {
          const entry = { id: entered, caller: now.caller };
          entered += 1;
          if (!queue.enter(entry, { caller: now.caller, more: now.more })) end(entry, "refused");
        }
        if (now.do === "slots" && "slots" in now) queue.setSlots((slots = now.slots));
        if (now.do === "end" && "at" in now) {
          const entry = [...turns][now.at % Math.max(1, turns.size)];
          if (entry !== undefined) {
            turns.delete(entry);
            expect([queue.leave(entry), queue.leave(entry)]).toEqual(["turn", "unknown"]);
            end(entry, "turn");
          }
        }
        if (now.do === "go" && "at" in now) {
          const entry = queue.order()[now.at % Math.max(1, queue.waiting)];
          if (entry !== undefined) {
            expect([queue.leave(entry), queue.leave(entry)]).toEqual(["waiting", "unknown"]);
            end(entry, "gone");
            if (!queue.order().some(({ caller }) => caller === entry.caller)) passedBy.delete(entry.caller);
          }
        }
        const had = turns.size;
        admit();
        expect(turns.size).toBeLessThanOrEqual(Math.max(slots, had));
        expect(queue.active).toBe(turns.size);
        expect(queue.waiting).toBeLessThanOrEqual(8 + 4);
        expect(queue.waiting === 0 || turns.size >= slots).toBe(true);
      }
      expect(ended.size + turns.size + queue.waiting).toBe(entered);
    },
  );
});

describe("fairness", () => {
  test("a caller with one request among one with a hundred waits one round", () => {
    const queue = newQueue(1);
    fill(queue, "many", 100);
    queue.admit();
    const [one] = fill(queue, "one", 1);
    const [running] = fill(queue, "many", 1);
    expect(running).toBeDefined();
    expect(queue.order().findIndex((entry) => entry === one)).toBe(1);
  });

  test("one who comes again and again does not overtake one who waits", () => {
    const queue = newQueue(0);
    const [first] = fill(queue, "a", 1);
    fill(queue, "b", 3);
    fill(queue, "c", 1);
    expect(queue.order().map(({ caller }) => caller)).toEqual(["a", "b", "c", "b", "b"]);
    queue.setSlots(1);
    expect(queue.admit()).toEqual([first]);
    fill(queue, "a", 1);
    expect(queue.order().map(({ caller }) => caller)).toEqual(["b", "c", "a", "b", "b"]);
  });

  test("a caller alone gets half of the places; there is one for every other", () => {
    const queue = newQueue(0, 256);
    expect(fill(queue, "greedy", 1_000)).toHaveLength(128);
    expect(fill(queue, "second", 1_000)).toHaveLength(64);
    for (let caller = 0; caller < 64; caller += 1) expect(fill(queue, `modest ${caller}`, 1)).toHaveLength(1);
    expect(fill(queue, "too late", 1)).toHaveLength(0);
    expect(queue.waiting).toBe(256);
    expect(queue.enter({ id: 0, caller: "greedy" }, { caller: "greedy", more: true })).toBe(true);
  });
});
