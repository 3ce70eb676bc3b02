import { asDeploymentId, asNodeId } from "@clusterd/wire";
import { expect, test } from "vitest";
import type { DaemonState } from "../state/daemon-state.ts";
import { createOrphanWatch, ORPHAN_MS } from "./orphan-watch.ts";

const [SELF, OTHER] = [asNodeId("self"), asNodeId("other")];
const ID = asDeploymentId("d");

/** What is looked at: the deployments that this node and the other one tell of. */
function stateWith(own: number | null, others: number | null, state = "alive"): DaemonState {
  const view = (epoch: number): object => ({ id: ID, view: { epoch } });
  return {
    self: SELF,
    deployments: new Map(own === null ? [] : [[ID, { epoch: own }]]),
    others: new Map([[OTHER, { state, advert: { deployments: others === null ? [] : [view(others)] } }]]),
  } as unknown as DaemonState;
}

test.each([
  ["the head that tells of it", OTHER, stateWith(null, 3)],
  ["this node's own deployment", SELF, stateWith(3, null)],
])("is none: a stage of %s, however long", (_, head, state) => {
  const watch = createOrphanWatch();
  for (const nowMs of [0, ORPHAN_MS, 10 * ORPHAN_MS])
    expect(watch.isOrphan(state, { head, deployment: ID, epoch: 3 }, nowMs)).toBe(false);
});

test.each([
  ["an earlier epoch", OTHER, stateWith(null, 2)],
  ["no such deployment", OTHER, stateWith(null, null)],
  ["no such deployment, here", SELF, stateWith(null, null)],
])("is one after a while: its head tells of %s", (_, head, state) => {
  const watch = createOrphanWatch();
  const stage = { head, deployment: ID, epoch: 3 };
  expect(watch.isOrphan(state, stage, 1000)).toBe(false);
  expect(watch.isOrphan(state, stage, 1000 + ORPHAN_MS - 1)).toBe(false);
  expect(watch.isOrphan(state, stage, 1000 + ORPHAN_MS)).toBe(true);
});

test("is none that is told of again in time", () => {
  const watch = createOrphanWatch();
  const stage = { head: OTHER, deployment: ID, epoch: 3 };
  expect(watch.isOrphan(stateWith(null, null), stage, 0)).toBe(false);
  expect(watch.isOrphan(stateWith(null, 3), stage, 1)).toBe(false);
  expect(watch.isOrphan(stateWith(null, null), stage, ORPHAN_MS + 1)).toBe(false);
});

test("is one at once where its head has left, or is at a later epoch", () => {
  const stage = { head: OTHER, deployment: ID, epoch: 3 };
  expect(createOrphanWatch().isOrphan(stateWith(null, 4), stage, 0)).toBe(true);
  expect(createOrphanWatch().isOrphan(stateWith(null, 3, "left"), stage, 0)).toBe(true);
  expect(createOrphanWatch().isOrphan({ ...stateWith(null, null), others: new Map() }, stage, 0)).toBe(true);
});
