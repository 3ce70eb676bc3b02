import { asDeploymentId } from "@clusterd/wire";
import { expect, test } from "vitest";
import { createGateWaiters, type GateWaiter, type GateWaiters } from "./gate-waiters.ts";
import { GATE_OPENING_MAX } from "./limits.ts";

const DEPLOYMENT = asDeploymentId("d1");

function begin(waiters: GateWaiters, caller: string, signal = new AbortController().signal, more = false): Promise<GateWaiter> {
  return waiters.begin(DEPLOYMENT, { caller, more, queueLimit: 4, signal });
}

test("what the head would refuse is refused here, by its own rule, with what it said last about coming back", async () => {
  const waiters = createGateWaiters();
  const [first, second] = [await begin(waiters, "a"), await begin(waiters, "a")];
  first.at(1, 7);
  second.at(2, 9);
  await expect(begin(waiters, "a")).rejects.toMatchObject({ code: "queue_full", details: { retryAfterSeconds: 9 } });
  const other = await begin(waiters, "b");
  const further = await begin(waiters, "a", undefined, true);
  expect(waiters.openAt(DEPLOYMENT)).toBe(4);
  // Its turn has come: its place is free.
  first.at(0, 0);
  const third = await begin(waiters, "a");
  for (const waiter of [first, second, other, further, third]) waiter[Symbol.dispose]();
  expect(waiters.openAt(DEPLOYMENT)).toBe(0);
});

test("only so many connections are opened at a time; whoever goes leaves the line", async () => {
  const waiters = createGateWaiters();
  const opening = await Promise.all(Array.from({ length: GATE_OPENING_MAX }, (_, at) => begin(waiters, String(at))));
  const leave = new AbortController();
  const gone = begin(waiters, "gone", leave.signal);
  const next = begin(waiters, "next");
  leave.abort(new Error("gone"));
  await expect(gone).rejects.toThrow("gone");
  expect(waiters.openAt(DEPLOYMENT)).toBe(GATE_OPENING_MAX);
  opening[0]?.opened();
  opening[0]?.opened();
  const last = await next;
  expect(waiters.openAt(DEPLOYMENT)).toBe(GATE_OPENING_MAX + 1);
  for (const waiter of [...opening, last]) waiter[Symbol.dispose]();
  // All permits are back.
  const again = await Promise.all(Array.from({ length: GATE_OPENING_MAX }, (_, at) => begin(waiters, String(at))));
  expect(again).toHaveLength(GATE_OPENING_MAX);
});
