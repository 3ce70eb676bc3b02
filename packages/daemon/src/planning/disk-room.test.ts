import { expect, test } from "vitest";
import { asContentId, asNodeId, type DiskView, type NodeId } from "@clusterd/wire";
import type { DaemonState } from "../state/daemon-state.ts";
import { diskRoomOf, leftOutNotes, noDiskRoom, shortDisks, shortNotes } from "./disk-room.ts";

const [SELF, PI] = [asNodeId("self"), asNodeId("pi")];
const [WANTED, RUNS, IDLE] = [asContentId("aa"), asContentId("bb"), asContentId("cc")];
const GB = 1e9;
const RESERVE = 64 * 1024 * 1024;
const held = (contentId: string, diskBytes: number): object => ({
  contentId,
  model: "m",
  layers: "",
  hasHead: false,
  diskBytes,
  fetching: null,
});

function stateOf(disk: DiskView | null, parts: readonly object[]): DaemonState {
  const stages = [{ node: PI, firstLayer: 0, lastLayer: 1, weightBytes: 0, kvBytes: 0, bufferBytes: 0 }];
  const view = { state: "ready", head: SELF, stages, model: "runs" };
  const advert = { node: PI, name: "pi", models: [], held: parts, disk, deployments: [{ id: "d", contentId: RUNS, view }] };
  return {
    self: SELF,
    own: { name: "self", models: [], device: { accelerators: [] } },
    others: new Map([[PI, { advert, state: "alive" }]]),
    deployments: new Map(),
  } as unknown as DaemonState;
}
const room = (disk: DiskView | null, parts: readonly object[] = []): number | null =>
  diskRoomOf(stateOf(disk, parts), PI, WANTED);
const disk = (freeBytes: number, usedBytes: number, capBytes: number | null): DiskView => ({
  totalBytes: 100 * GB,
  freeBytes,
  usedBytes,
  capBytes,
});

test("what is free, within the limit, and what nothing needs; what runs there, and what there is of this model, stays", () => {
  expect(room(null)).toBeNull();
  expect(room(disk(10 * GB, 0, null))).toBe(10 * GB - RESERVE);
  expect(room(disk(10 * GB, 3 * GB, 5 * GB), [held(IDLE, 3 * GB)])).toBe(5 * GB);
  expect(room(disk(10 * GB, 3 * GB, 5 * GB), [held(RUNS, 3 * GB)])).toBe(2 * GB);
  expect(room(disk(10 * GB, 3 * GB, 5 * GB), [held(WANTED, 3 * GB)])).toBe(2 * GB);
  expect(room(disk(0, 1 * GB, null), [held(RUNS, 1 * GB)])).toBe(0);
});

test("who is short of room is named, with both figures", () => {
  const names = new Map<NodeId, string>([
    [SELF, "self"],
    [PI, "pi"],
  ]);
  const fetch = (bytes: number): Parameters<typeof shortDisks>[2] => [{ node: "pi", bytes, from: [], seconds: null }];
  const state = stateOf(disk(10 * GB, 0, 2 * GB), []);
  expect(shortDisks(state, WANTED, fetch(2 * GB), names)).toEqual([]);
  const short = shortDisks(state, WANTED, fetch(3 * GB), names);
  expect(short).toEqual([{ node: "pi", bytes: 3 * GB, roomBytes: 2 * GB }]);
  expect(shortNotes(short)[0]).toContain("pi has no room on its disk for 3.0 GB (2.0 GB are free for models)");
  expect(leftOutNotes(short)[0]).toContain("pi takes no part");
  expect(noDiskRoom("m", short)).toMatchObject({
    code: "does_not_fit",
    message: expect.stringContaining("pi would fetch 3.0 GB") as string,
  });
});
