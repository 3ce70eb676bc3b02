import { fc } from "@fast-check/vitest";
import { asNodeId, type NodeId } from "@clusterd/wire";
import { expect, test } from "vitest";
import { inOwnOrder, sharerOf } from "./block-share.ts";

const nodes = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 8 }).map(asNodeId), { minLength: 1, maxLength: 12 });
const content = fc.string();

test("each block is one node's, the same in whatever order the nodes are known", () => {
  fc.assert(
    fc.property(nodes, content, fc.nat(100_000), (all, id, block) => {
      const sharer = sharerOf(all, id, block);
      expect(all).toContain(sharer);
      expect(sharerOf(all.toReversed(), id, block)).toBe(sharer);
    }),
  );
  expect(sharerOf([], "ab", 1)).toBeNull();
});

test("when a node goes, its blocks alone change hands; when one comes, it takes and nobody else gets any", () => {
  fc.assert(
    fc.property(nodes, content, fc.nat(100_000), fc.nat(), (all, id, block, at) => {
      const gone = all[at % all.length] as NodeId;
      const rest = all.filter((node) => node !== gone);
      const before = sharerOf(all, id, block);
      if (before !== gone) expect(sharerOf(rest, id, block)).toBe(before);
    }),
  );
});

test("shares are about equal", () => {
  const all = ["a", "b", "c", "d"].map(asNodeId);
  const counts = new Map<NodeId | null, number>();
  for (let block = 0; block < 4_000; block++) {
    const sharer = sharerOf(all, "content", block);
    counts.set(sharer, (counts.get(sharer) ?? 0) + 1);
  }
  for (const node of all) expect(Math.abs((counts.get(node) ?? 0) - 1_000)).toBeLessThan(150);
});

test("a node begins with its own: of the first tenth hardly any is another's", () => {
  const all = ["a", "b", "c"].map(asNodeId);
  const blocks = Array.from({ length: 1_000 }, (_, index) => ({ index }));
  for (const node of all) {
    const order = inOwnOrder(blocks, node, "content");
    expect(order.map(({ index }) => index).toSorted((x, y) => x - y)).toEqual(blocks.map(({ index }) => index));
    const own = order.slice(0, 100).filter(({ index }) => sharerOf(all, "content", index) === node);
    expect(own.length).toBeGreaterThan(80);
  }
});
