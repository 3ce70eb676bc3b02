import { asContentId, asModelId, asNodeId, type ClusterState } from "@clusterd/wire";
import { expect, test } from "vitest";
import type { Style } from "../text/style.ts";
import { disksLines, partsLines } from "./disk-view.ts";
import { modelsLines } from "./models-view.ts";
import { findingLine, verifyProgress } from "./verify-view.ts";

const plain: Style = (_tone, text) => text;
const part = { contentId: asContentId("c0ffee00"), model: asModelId("big"), layers: "0-9", hasHead: false, diskBytes: 2.1e9 };
const node = (name: string, more: object): object => ({ id: asNodeId(name), name, state: "alive", ...more });
const disk = { totalBytes: 500e9, freeBytes: 100e9, usedBytes: 12e9, capBytes: 24e9 };
const state = {
  self: asNodeId("pi"),
  nodes: [
    node("pi", { disk, held: [{ ...part, fetching: null }] }),
    node("mini", {
      disk: { ...disk, capBytes: null },
      held: [{ ...part, layers: "", fetching: { layers: "10-19", hasHead: true } }],
    }),
    node("old", {}),
    node("gone", { state: "left", disk }),
  ],
  models: [],
} as unknown as ClusterState;

test("parts are told in words, with their size and what is coming", () => {
  expect(partsLines(state)).toEqual([
    "layers 0-9 of big on pi, 2.1 GB",
    "pieces of big on mini, 2.1 GB, fetching layers 10-19, embeddings and output",
  ]);
  // Also where nobody has any model whole.
  expect(modelsLines(state, plain)[0]).toBe("layers 0-9 of big on pi, 2.1 GB");
});

test("a disk is told with its limit, where there is one; who says nothing, or has left, has no line", () => {
  const lines = disksLines(state, plain);
  expect(lines).toHaveLength(3);
  expect(lines[1]).toMatch(/^pi +█████░░░░░ 12\.0 GB of 24\.0 GB +100 GB +500 GB$/u);
  expect(lines[2]).toMatch(/^mini +\S+ 12\.0 GB +100 GB +500 GB$/u);
});

test("what was found is said by name, with its bytes and what was done about it", () => {
  const place = { model: "big", path: "/m/big.gguf" };
  const range = { firstByte: 10, lastByte: 19 };
  expect(findingLine({ event: "damaged", ...place, ...range, part: "layer 3", action: "dropped", aside: null }, plain)).toBe(
    "damaged  big: /m/big.gguf: bytes 10-19 (layer 3): dropped",
  );
  const aside = "/m/big.gguf.quarantined";
  expect(findingLine({ event: "damaged", ...place, ...range, part: null, action: "quarantined", aside }, plain)).toContain(
    `put aside as ${aside}`,
  );
  expect(findingLine({ event: "unverifiable", ...place, why: "nobody\u001b[2J told" }, plain)).not.toContain("\u001b");
  const progress = { event: "progress", ...place, bytes: 5e9, totalBytes: 10e9, bytesPerSecond: 1e9, secondsLeft: 5 } as const;
  expect(verifyProgress({ ...progress, step: "reading" })).toContain("5.0 GB of 10.0 GB, 1.0 GB/s, 5 s left");
  expect(verifyProgress({ ...progress, step: "fetching" })).toContain("5.0 GB of 10.0 GB fetched again");
});
