import { asDeploymentId, asNodeId, type NodeState } from "@clusterd/wire";
import { describe, expect, test } from "vitest";
import type { DaemonState, HeadedDeployment } from "./daemon-state.ts";
import { nextLookMs, reconcile } from "./reconcile.ts";

const [SELF, WORKER] = [asNodeId("self"), asNodeId("worker")];
const ID = asDeploymentId("d");

/** One deployment over this node and the other one's second accelerator. */
function stateWith(changes: Partial<HeadedDeployment>, worker: NodeState | null): DaemonState {
  const stages = [SELF, `${WORKER}#1`].map((node) => ({ node }));
  const deployment = { id: ID, wanted: true, phase: "recovering", retryAtMs: 0, placement: { stages }, ...changes };
  return {
    self: SELF,
    others: new Map(worker === null ? [] : [[WORKER, { state: worker }]]),
    deployments: new Map([[ID, deployment]]),
  } as unknown as DaemonState;
}
const actions = (state: DaemonState, runs: boolean): readonly string[] =>
  reconcile(state, { running: new Set(runs ? [ID] : []) }, 1000).map(({ type }) => type);

describe("a deployment that broke", () => {
  test.each<[NodeState | null, string]>([
    ["alive", "start"],
    ["suspect", "replan"],
    ["left", "replan"],
    [null, "replan"],
  ])("with a node that is %s: %s", (worker, action) => {
    expect(actions(stateWith({}, worker), false)).toEqual([action]);
  });

  test("waits until its time has come, and says when that is", () => {
    const state = stateWith({ retryAtMs: 1500 }, "alive");
    expect(actions(state, false)).toEqual([]);
    expect(nextLookMs(state, 1000)).toBe(1500);
  });
});

describe("a deployment that runs", () => {
  test.each<[NodeState | null, readonly string[]]>([
    ["alive", []],
    // Its own tunnels know better whether it is lost.
    ["suspect", []],
    ["left", ["stop"]],
    [null, ["stop"]],
  ])("with a node that is %s: %s", (worker, wanted) => {
    expect(actions(stateWith({ phase: "ready" }, worker), true)).toEqual(wanted);
  });
});

test("what is not wanted is stopped, then forgotten", () => {
  expect(actions(stateWith({ wanted: false }, "alive"), true)).toEqual(["stop"]);
  expect(actions(stateWith({ wanted: false }, "alive"), false)).toEqual(["forget"]);
});
