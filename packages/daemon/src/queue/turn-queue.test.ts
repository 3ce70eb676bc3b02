import { ClusterdError } from "@clusterd/wire";
import { describe, expect, test, vi } from "vitest";
import { createTurnQueue, type Turn, type TurnQueue } from "./turn-queue.ts";

function newQueue(slots: number, waitingMax?: number): TurnQueue {
  return createTurnQueue({ slots, onChange: () => undefined, ...(waitingMax === undefined ? {} : { waitingMax }) });
}

interface Waiting {
  readonly turn: Promise<Turn>;
  readonly positions: number[];
  readonly abort: AbortController;
}

function enter(queue: TurnQueue, caller = "a", more = false): Waiting {
  const abort = new AbortController();
  const positions: number[] = [];
  const turn = queue.enter({ caller, more, signal: abort.signal, onPosition: (position) => positions.push(position) });
  turn.catch(() => undefined);
  return { turn, positions, abort };
}

describe("turns", () => {
  test("come at once while slots are free, then in order; those who wait are told where they stand", async () => {
    using queue = newQueue(1);
    const [first, second, third] = [enter(queue), enter(queue), enter(queue)];
    const turn = await first.turn;
    expect(queue.figures).toEqual({ active: 1, waiting: 2, limit: 256 });
    expect([first.positions, second.positions, third.positions]).toEqual([[0], [1], [2]]);
    turn[Symbol.dispose]();
    turn[Symbol.dispose]();
    await second.turn;
    expect(second.positions).toEqual([1, 0]);
    await vi.waitFor(() => expect(third.positions).toEqual([2, 1]));
    expect(queue.figures).toMatchObject({ active: 1, waiting: 1 });
  });

  test("whoever goes while it waits leaves no trace; with a turn it keeps that until it gives it back", async () => {
    using queue = newQueue(1);
    const [first, second, third] = [enter(queue), enter(queue), enter(queue)];
    second.abort.abort(new Error("gone"));
    await expect(second.turn).rejects.toThrow("gone");
    first.abort.abort(new Error("gone"));
    expect(queue.figures).toMatchObject({ active: 1, waiting: 1 });
    (await first.turn)[Symbol.dispose]();
    await third.turn;
    expect(second.positions).toEqual([1]);
    const before = new AbortController();
    before.abort(new Error("gone before"));
    await expect(queue.enter({ caller: "a", signal: before.signal })).rejects.toThrow("gone before");
    expect(queue.figures).toMatchObject({ active: 1, waiting: 0 });
  });

  test("none is given while there is no engine; all that wait can be told that they wait in vain", async () => {
    using queue = newQueue(2);
    queue.setSlots(0);
    const [first, second] = [enter(queue), enter(queue)];
    expect(queue.figures).toMatchObject({ active: 0, waiting: 2 });
    queue.setSlots(1);
    await first.turn;
    queue.refuseAll(new ClusterdError("shards_unreachable", "over"));
    await expect(second.turn).rejects.toMatchObject({ code: "shards_unreachable" });
    expect(queue.figures).toMatchObject({ active: 1, waiting: 0 });
  });

  test("a full queue says when to come back; further parts of a request still wait", async () => {
    using queue = newQueue(1, 4);
    const running = enter(queue);
    const waiting = ["a", "a", "b"].map((caller) => enter(queue, caller));
    await expect(enter(queue).turn).rejects.toMatchObject({ code: "queue_full", details: { waiting: 3, retryAfterSeconds: 2 } });
    const more = enter(queue, "a", true);
    expect(queue.figures.waiting).toBe(4);
    (await running.turn)[Symbol.dispose]();
    await Promise.all([...waiting, more].map(async ({ turn }) => (await turn)[Symbol.dispose]()));
    expect(queue.figures).toMatchObject({ active: 0, waiting: 0 });
    expect(queue.retryAfterSeconds).toBe(1);
  });
});
