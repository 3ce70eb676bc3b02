import { asContentId } from "@clusterd/wire";
import { expect, test } from "vitest";
import { createUseBook } from "./use-book.ts";

const big = asContentId("b16");
const wish = { firstLayer: 4, lastLayer: 9, isHead: false };

test("what a head has asked after stays for seconds, or until a deployment that needs it is known", () => {
  let nowMs = 0;
  const used: string[] = [];
  const book = createUseBook(
    (contentId) => used.push(contentId),
    () => nowMs,
  );
  book.soon(big, wish);
  expect([book.held.length, book.busy.length, book.hasSoon]).toEqual([1, 0, true]);
  // Of an earlier placement, or of another model.
  book.deployed([
    { contentId: big, wish: { ...wish, firstLayer: 5 } },
    { contentId: asContentId("other"), wish },
  ]);
  expect(book.held).toEqual([{ contentId: big, wish }]);
  book.deployed([{ contentId: big, wish: { ...wish, lastLayer: 12 } }]);
  expect([book.held.length, book.hasSoon]).toEqual([0, false]);
  book.soon(big, wish);
  nowMs = 9_999;
  expect(book.held).toHaveLength(1);
  nowMs = 10_000;
  expect(book.held).toEqual([]);
  {
    using _reading = book.hold(big, wish);
    nowMs = 1e9;
    book.deployed([{ contentId: big, wish }]);
    expect([book.held.length, book.busy.length]).toEqual([1, 1]);
  }
  expect([book.held.length, book.busy.length]).toEqual([0, 0]);
  expect(used).toEqual([big, big, big, big]);
});
