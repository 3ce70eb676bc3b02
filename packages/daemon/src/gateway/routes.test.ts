import { expect, test } from "vitest";
import { asNodeId, type NodeId } from "@clusterd/wire";
import { knownModel } from "../on-demand/known-models.ts";
import type { DaemonState } from "../state/daemon-state.ts";
import { modelNamed, replicaFor } from "./routes.ts";

const [A, B] = [asNodeId("a"), asNodeId("b")];
const model = (contentId: string, id: string, ...aliases: string[]): object => ({ contentId, id, aliases });
const deployment = (id: string, contentId: string, name: string): object => ({
  id,
  contentId,
  view: { model: name, state: "ready", head: B, slots: 1, measuredTokensPerSecond: 1, predictedTokensPerSecond: 1 },
});

/** Two nodes; what is deployed is headed by the other one. */
function stateOf(own: readonly object[], other: readonly object[], deployments: readonly object[]): DaemonState {
  const others = new Map<NodeId, object>([
    [B, { advert: { node: B, name: "b", device: { accelerators: [] }, models: other, deployments, held: [] }, state: "alive" }],
  ]);
  return {
    self: A,
    own: { name: "a", device: { accelerators: [] }, models: own, held: [] },
    others,
    deployments: new Map(),
  } as unknown as DaemonState;
}
const request = { conversation: null, warm: null, workOf: () => 0 };

test("a request may name a model by its id, its REF in any spelling, or a commit's beginning; another revision is another model", () => {
  const state = stateOf([], [model("c1", "O/R:Q8_0", "O/R:Q8_0@0123abcd0123")], [deployment("d1", "c1", "O/R:Q8_0")]);
  for (const name of ["o/r:q8_0", "hf:o/r", "hf:O/R:Q8_0@main", "o/r", "hf.co/o/r", "hf:o/r@0123abcd"]) {
    expect(replicaFor(state, name, request), name).toBe("d1");
    expect(modelNamed(state, name), name).toBe("O/R:Q8_0");
    expect(knownModel(state, name)?.contentId, name).toBe("c1");
  }
  for (const name of ["hf:o/r@v1", "hf:o/r:Q4_K_M", "o/other", "hf:o/r@0123"]) {
    expect(replicaFor(state, name, request), name).toBeNull();
    expect(knownModel(state, name), name).toBeNull();
  }
});

test("a model that each node fetched its part of is named as any, though nobody has its file", () => {
  const state = stateOf([], [], [deployment("d1", "c1", "o/r:Q8_0")]);
  expect(replicaFor(state, "hf:O/R", request)).toBe("d1");
});

test("of several quantisations none is meant, unless one of them alone is deployed", () => {
  const models = [model("c1", "o/r:Q8_0"), model("c2", "o/r:F16")];
  expect(replicaFor(stateOf(models, [], []), "o/r", request)).toBeNull();
  expect(knownModel(stateOf(models, [], []), "o/r")).toBeNull();
  expect(replicaFor(stateOf(models, [], [deployment("d2", "c2", "o/r:F16")]), "o/r", request)).toBe("d2");
  const both = [deployment("d1", "c1", "o/r:Q8_0"), deployment("d2", "c2", "o/r:F16")];
  expect(replicaFor(stateOf(models, [], both), "o/r", request)).toBeNull();
  expect(replicaFor(stateOf(models, [], both), "o/r:q8_0", request)).toBe("d1");
});

test("a branch that moved: the old files answer until the new ones are deployed, then these alone", () => {
  const models = [model("new", "o/r:Q8_0"), model("old", "o/r:Q8_0@aaaa0000aaaa")];
  const before = deployment("before", "old", "o/r:Q8_0");
  expect(replicaFor(stateOf(models, [], [before]), "hf:o/r", request)).toBe("before");
  const after = [before, deployment("after", "new", "o/r:Q8_0")];
  for (const name of ["hf:o/r", "o/r:Q8_0"]) expect(replicaFor(stateOf(models, [], after), name, request), name).toBe("after");
  expect(replicaFor(stateOf(models, [], after), "hf:o/r@aaaa0000", request)).toBe("before");
});
