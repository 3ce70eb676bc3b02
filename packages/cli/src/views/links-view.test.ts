import { asNodeId, type ClusterState } from "@clusterd/wire";
import { expect, test } from "vitest";
import { linksLines } from "./links-view.ts";

const plain = (_tone: string, text: string): string => text;
const link = (to: string, rttMs: number, bytesPerSecond: number): object => ({ to: asNodeId(to), rttMs, bytesPerSecond });
const node = (name: string, links: readonly object[], state = "alive"): object => ({ id: asNodeId(name), name, state, links });
const stateOf = (nodes: readonly object[]): ClusterState => ({ self: asNodeId("a"), nodes }) as unknown as ClusterState;

test("each link once, the slowest first, each direction's rate of its own", () => {
  const state = stateOf([
    node("a", [link("b", 0.3, 118e6), link("c", 12, 0)]),
    node("b", [link("a", 0.4, 94e6), link("gone", 1, 1e6)]),
    node("c", []),
    node("gone", [link("a", 1, 1e6)], "left"),
  ]);
  expect(linksLines(state, plain)).toEqual([
    "",
    "LINK   ROUND TRIP  →         ←",
    "a – c  12.0 ms     —         —",
    "a – b  0.30 ms     118 MB/s  94.0 MB/s",
  ]);
});

test("a machine alone has none, and many are cut short", () => {
  expect(linksLines(stateOf([node("a", [])]), plain)).toEqual([]);
  const names = Array.from({ length: 9 }, (_, index) => `n${index}`);
  const state = stateOf(
    names.map((name) =>
      node(
        name,
        names.map((to) => link(to, 1, 1e6)),
      ),
    ),
  );
  const lines = linksLines(state, plain);
  expect(lines).toHaveLength(2 + 24 + 1);
  expect(lines.at(-1)).toBe("and 12 shorter ones");
});
