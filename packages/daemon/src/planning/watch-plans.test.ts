import { asDeploymentId, asNodeId, type DeploymentId, type ErrorCode } from "@clusterd/wire";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { DaemonState } from "../state/daemon-state.ts";
import { createStore, type Store } from "../state/store.ts";
import { watchPlans } from "./watch-plans.ts";

const LOOK_MS = 5_000;
const D = asDeploymentId("d");

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const others = (...names: readonly string[]): DaemonState["others"] =>
  new Map(
    names.map((name) => [asNodeId(name), { advert: { node: asNodeId(name) }, state: "alive" }]),
  ) as unknown as DaemonState["others"];

/** A head of one deployment, failed or running, whose cluster changes; what was begun anew. */
function watched(
  replan: "ask" | "auto",
  code: ErrorCode,
): {
  readonly moved: DeploymentId[];
  become(phase: "ready" | "failed", ...names: readonly string[]): Promise<void>;
} & Disposable {
  const moved: DeploymentId[] = [];
  let state = { self: asNodeId("self"), others: others(), deployments: new Map() } as unknown as DaemonState;
  const store: Store = {
    ...createStore(state),
    get state() {
      return state;
    },
  };
  const watch = watchPlans({
    store,
    profileOf: () => null,
    isIdle: () => Promise.resolve(true),
    move: (id) => Promise.resolve(void moved.push(id)),
    log: () => undefined,
  });
  return {
    moved,
    async become(phase, ...names) {
      const deployment = { id: D, model: "m", phase, wanted: true, asked: { replan }, failure: { code, message: "" } };
      state = { ...state, others: others(...names), deployments: new Map([[D, deployment]]) } as unknown as DaemonState;
      await vi.advanceTimersByTimeAsync(LOOK_MS);
    },
    [Symbol.dispose]: () => watch[Symbol.dispose](),
  };
}

test("what failed for want of a node begins anew once the nodes have changed, and is left alone while they have not", async () => {
  using cluster = watched("auto", "does_not_fit");
  await cluster.become("ready", "a", "b");
  await cluster.become("failed", "a");
  // The loss itself is a change: it is looked at once, and no more.
  expect(cluster.moved).toEqual([D]);
  await cluster.become("failed", "a");
  await cluster.become("failed", "a");
  expect(cluster.moved).toEqual([D]);
  await cluster.become("failed", "a", "c");
  expect(cluster.moved).toEqual([D, D]);
});

test.each([
  ["ask", "does_not_fit"],
  ["auto", "model_broken"],
] as const)("%s, %s: nothing is begun", async (replan, code) => {
  using cluster = watched(replan, code);
  await cluster.become("ready", "a", "b");
  await cluster.become("failed", "a");
  await cluster.become("failed", "a", "c");
  expect(cluster.moved).toEqual([]);
});
