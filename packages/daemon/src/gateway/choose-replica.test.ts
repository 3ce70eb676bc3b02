import { fc, test } from "@fast-check/vitest";
import { asDeploymentId, type DeploymentPhase } from "@clusterd/wire";
import { describe, expect } from "vitest";
import { chooseReplica, LEAVE_LOAD, type Replica } from "./choose-replica.ts";
import { createExpectedWork } from "./expected-work.ts";
import { createWarmPrefixes } from "./warm-prefixes.ts";
import { createWorkEstimates } from "./work-estimates.ts";

const replica = (deployment: string, changes: Partial<Replica> = {}): Replica => ({
  deployment: asDeploymentId(deployment),
  phase: "ready",
  isOwn: false,
  isSuspect: false,
  slots: 2,
  work: 0,
  tokensPerSecond: 10,
  ...changes,
});
const choose = (
  replicas: readonly Replica[],
  warm: string | null = null,
  conversation: string | null = null,
): string | undefined => chooseReplica(replicas, warm === null ? null : asDeploymentId(warm), conversation)?.deployment;

const any: fc.Arbitrary<readonly Replica[]> = fc
  .array(
    fc.record({
      phase: fc.constantFrom<DeploymentPhase>("ready", "ready", "ready", "loading", "failed"),
      isSuspect: fc.boolean(),
      slots: fc.integer({ min: 1, max: 4 }),
      work: fc.nat(8),
      tokensPerSecond: fc.constantFrom(10, 10.5, 30),
    }),
    { minLength: 1, maxLength: 5 },
  )
  .map((all) => all.map((changes, index) => replica(`d${index}`, { ...changes, isOwn: index === 0 })));
const hash = fc.option(fc.string({ minLength: 1, maxLength: 4 }));
const load = ({ work, slots }: Replica): number => work / slots;

describe("the replica for a request", () => {
  test("this node's own while it has a free slot", () => {
    const own = replica("own", { isOwn: true, work: 1 });
    expect(choose([replica("idle"), own])).toBe("own");
    expect(choose([replica("idle"), { ...own, work: 2 }])).toBe("idle");
  });

  test("the one with the least work per slot, of equal ones the faster", () => {
    expect(choose([replica("a", { work: 2, slots: 2 }), replica("b", { work: 3, slots: 4 })])).toBe("b");
    expect(choose([replica("a"), replica("b", { tokensPerSecond: 20 })])).toBe("b");
  });

  test("the one that knows the conversation, unless there it would wait much longer", () => {
    const warm = replica("warm", { slots: 4, work: 3 });
    expect(choose([replica("own", { isOwn: true }), warm], "warm")).toBe("warm");
    expect(choose([replica("other", { slots: 4, work: 3 }), { ...warm, work: 4 }], "warm")).toBe("warm");
    expect(choose([replica("other", { slots: 4, work: 2 }), { ...warm, work: 4 }], "warm")).toBe("other");
    expect(choose([replica("other"), { ...warm, isSuspect: true }], "warm")).toBe("other");
    expect(choose([replica("other"), { ...warm, phase: "recovering" }], "warm")).toBe("other");
  });

  test("one that is not heard of only where there is no other", () => {
    const silent = replica("silent", { isSuspect: true, tokensPerSecond: 99 });
    expect(choose([silent, replica("busy", { work: 9 })])).toBe("busy");
    expect(choose([silent, replica("loading", { phase: "loading" })])).toBe("silent");
    expect(choose([])).toBeUndefined();
  });

  test("equal ones get about as many conversations each, the same one the same wherever it is asked", () => {
    const three = ["a", "b", "c"].map((name) => replica(name));
    const counts = new Map<string, number>();
    for (let conversation = 0; conversation < 900; conversation++) {
      const chosen = choose(three, null, `c${conversation}`) ?? "";
      expect(choose(three.toReversed(), null, `c${conversation}`)).toBe(chosen);
      counts.set(chosen, (counts.get(chosen) ?? 0) + 1);
      // What was elsewhere stays where it is when one goes.
      if (chosen !== "b")
        expect(
          choose(
            three.filter(({ deployment }) => deployment !== "b"),
            null,
            `c${conversation}`,
          ),
        ).toBe(chosen);
    }
    for (const count of counts.values()) expect(Math.abs(count - 300)).toBeLessThan(75);
    expect(counts.size).toBe(3);
  });

  test.prop([any, fc.nat(5), hash])(
    "is ready where one is, heard of where one is, and never one with much more work",
    (all, at, conversation) => {
      const chosen = chooseReplica(all, asDeploymentId(`d${at}`), conversation);
      if (chosen === null) throw new Error("one was to be chosen");
      const ready = all.filter(({ phase }) => phase === "ready");
      if (ready.length === 0) return;
      expect(chosen.phase).toBe("ready");
      const heard = ready.filter(({ isSuspect }) => !isSuspect);
      if (heard.length > 0) expect(chosen.isSuspect).toBe(false);
      const able = heard.length > 0 ? heard : ready;
      const least = Math.min(...able.map(load));
      // Whoever has to wait waits where the wait is about the least.
      if (load(chosen) >= 1) expect(load(chosen)).toBeLessThan(least + LEAVE_LOAD);
    },
  );
});

test("the conversations used last are remembered", () => {
  const warm = createWarmPrefixes(2);
  const [a, b] = [asDeploymentId("a"), asDeploymentId("b")];
  warm.note("one", a);
  warm.note("two", a);
  warm.note("one", b);
  warm.note("three", a);
  warm.note(null, b);
  expect(["one", "two", "three", null].map((each) => warm.of(each))).toEqual([b, null, a, null]);
});

test("a request is expected where it was sent until it comes there, or a while at most", () => {
  let nowMs = 0;
  const expected = createExpectedWork(() => nowMs);
  const [a, b] = [asDeploymentId("a"), asDeploymentId("b")];
  for (const each of [a, a, b]) expected.expect(each);
  expected.came(a);
  expect([expected.at(a), expected.at(b)]).toEqual([1, 1]);
  expected.came(a);
  expected.came(a);
  nowMs = 500;
  expected.expect(b);
  nowMs = 1_000;
  expect([expected.at(a), expected.at(b)]).toEqual([0, 1]);
});

test("of what a head tells, this node's own requests of then are taken off, and those of now added", () => {
  const [a, estimates] = [asDeploymentId("a"), createWorkEstimates()];
  const told = (active: number, waiting = 0) => ({ active, waiting, limit: 256 });
  const first = told(2, 1);
  expect(estimates.of(a, first, 0)).toBe(3);
  // One more is sent, told of, and done before the head tells that.
  estimates.sent(a, 1);
  expect(estimates.of(a, first, 1)).toBe(4);
  const second = told(2, 2);
  expect(estimates.of(a, second, 0)).toBe(3);
  expect(estimates.of(a, second, 2)).toBe(5);
  expect(estimates.of(a, told(0), 0)).toBe(0);
});
