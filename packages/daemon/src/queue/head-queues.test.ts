import { asDeploymentId, type QueueView } from "@clusterd/wire";
import { expect, test, vi } from "vitest";
import type { DaemonState, HeadedDeployment } from "../state/daemon-state.ts";
import { createStore, type Store } from "../state/store.ts";
import { createHeadQueues } from "./head-queues.ts";
import type { Turn } from "./turn-queue.ts";

const ID = asDeploymentId("d1");

function newStore(): Store {
  const deployment = {
    ...{ id: ID, wanted: true, phase: "ready", failure: null, crashesAtMs: [], retryAtMs: 0, progress: [1] },
    placement: { slots: 1, stages: [] },
    queue: { active: 0, waiting: 0, limit: 256 },
  } as unknown as HeadedDeployment;
  return createStore({ deployments: new Map([[ID, deployment]]) } as unknown as DaemonState);
}

function enter(queues: ReturnType<typeof createHeadQueues>): Promise<Turn> {
  const turn = queues.enter(ID, { caller: "a", signal: new AbortController().signal });
  turn.catch(() => undefined);
  return turn;
}

test("who waits while the engine restarts goes on waiting; whoever comes then, or waits for what was ended, is told", async () => {
  const store = newStore();
  let isUp = true;
  using queues = createHeadQueues({ store, isUp: () => isUp });
  const [first, second, third] = [enter(queues), enter(queues), enter(queues)];
  const turn = await first;
  isUp = false;
  store.dispatch({ type: "deployment-broken", id: ID, failure: { code: "engine_crashed", message: "broke" }, atMs: 0 });
  turn[Symbol.dispose]();
  await expect(enter(queues)).rejects.toMatchObject({ code: "shards_unreachable" });
  expect(queues.workOf(ID)).toBe(2);
  isUp = true;
  store.dispatch({ type: "deployment-ready", id: ID, tokensPerSecond: null });
  await second;
  store.dispatch({ type: "deployment-unwanted", id: ID });
  await expect(third).rejects.toMatchObject({ code: "shards_unreachable" });
});

test("the state hears of the figures together, not of each change", async () => {
  const store = newStore();
  const told: QueueView[] = [];
  store.subscribe((_, event) => {
    if (event.type === "deployment-queue") told.push(event.queue);
  });
  vi.useFakeTimers();
  try {
    using queues = createHeadQueues({ store, isUp: () => true });
    for (let count = 0; count < 20; count += 1) void enter(queues);
    await vi.advanceTimersByTimeAsync(0);
    expect(told).toEqual([{ active: 1, waiting: 19, limit: 256 }]);
    for (let count = 0; count < 20; count += 1) void enter(queues);
    await vi.advanceTimersByTimeAsync(900);
    expect(told).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(200);
    expect(told).toEqual([expect.anything(), { active: 1, waiting: 39, limit: 256 }]);
  } finally {
    vi.useRealTimers();
  }
});
