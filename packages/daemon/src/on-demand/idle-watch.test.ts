import { asContentId, asDeploymentId, asNodeId, type DeployWish, type Placement } from "@clusterd/wire";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { newDeployment } from "../planning/headed.ts";
import type { DaemonState } from "../state/daemon-state.ts";
import { createStore, type Store } from "../state/store.ts";
import { FAILED_KEPT_MS } from "./idle-policy.ts";
import { watchIdle, type IdleWatch } from "./idle-watch.ts";

const ID = asDeploymentId("d1");
const SELF = asNodeId("self");

let store: Store;
let work = { requests: 0, entries: 0 };
let stopped: string[] = [];
let watch: IdleWatch;

/** A deployment that is up, for a request that gave it so long, or for a person. */
function begin(onDemand: Exclude<DeployWish["onDemand"], undefined>): void {
  const placement = { head: SELF, stages: [], speculation: { type: "off" } } as unknown as Placement;
  const asked = { head: null, pins: [], without: [], replan: "ask", onDemand } as const;
  const deployment = newDeployment(ID, "m", asContentId("c"), placement, null, asked);
  const state = { self: SELF, own: {}, others: new Map(), deployments: new Map([[ID, deployment]]) } as unknown as DaemonState;
  store = createStore(state);
  store.dispatch({ type: "deployment-starting", id: ID });
  store.dispatch({ type: "deployment-ready", id: ID, tokensPerSecond: null });
  work = { requests: 0, entries: 0 };
  stopped = [];
  watch = watchIdle({
    store,
    workOf: () => work,
    stopHere(id) {
      stopped.push(id);
      store.dispatch({ type: "deployment-unwanted", id });
    },
    log: () => undefined,
  });
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  watch[Symbol.dispose]();
  vi.useRealTimers();
});

test("idle for its time it is unloaded, counted from its last work", () => {
  begin({ keepAliveSeconds: 10 });
  work = { requests: 1, entries: 1 };
  vi.advanceTimersByTime(60_000);
  expect(stopped).toEqual([]);
  work = { requests: 0, entries: 1 };
  vi.advanceTimersByTime(9_000);
  // A request so brief that no look saw it.
  work = { requests: 0, entries: 2 };
  vi.advanceTimersByTime(9_000);
  expect(stopped).toEqual([]);
  vi.advanceTimersByTime(3_000);
  expect(stopped).toEqual([ID]);
});

test("a person's stays, and what a person takes over", () => {
  begin(null);
  vi.advanceTimersByTime(1e8);
  expect([stopped, watch.evict(ID)]).toEqual([[], false]);
  watch[Symbol.dispose]();
  begin({ keepAliveSeconds: 0 });
  store.dispatch({ type: "deployment-kept", id: ID, onDemand: null });
  vi.advanceTimersByTime(1e8);
  expect([stopped, watch.evict(ID)]).toEqual([[], false]);
});

test("it makes room at once while it is idle, by what is so at this moment", () => {
  begin({ keepAliveSeconds: null });
  vi.advanceTimersByTime(5_000);
  work = { requests: 1, entries: 1 };
  expect([watch.evict(ID), stopped]).toEqual([false, []]);
  work = { requests: 0, entries: 1 };
  expect([watch.evict(ID), stopped]).toEqual([true, [ID]]);
  expect(watch.evict(ID)).toBe(false);
});

test("a load that failed is told of for a while, and then makes way for another try", () => {
  begin({ keepAliveSeconds: 10 });
  store.dispatch({ type: "deployment-failed", id: ID, failure: { code: "engine_crashed", message: "no" } });
  vi.advanceTimersByTime(FAILED_KEPT_MS - 2_000);
  expect(stopped).toEqual([]);
  vi.advanceTimersByTime(4_000);
  expect(stopped).toEqual([ID]);
});
