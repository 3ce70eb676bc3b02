import type { ModelManifest } from "@clusterd/catalog";
import { asContentId } from "@clusterd/wire";
import { expect, test } from "vitest";
import { createManifestWords, NO_WORDS } from "./manifest-words.ts";

const [RIGHT, WRONG] = ["aa".repeat(32), "bb".repeat(32)];
const manifest = (source: ModelManifest["source"], ...blocks: readonly (string | null)[]): ModelManifest => ({
  contentId: asContentId("c"),
  source,
  parts: [],
  tensors: [],
  blocks,
});
const [first, second] = [{ index: 0 }, { index: 1 }];

test("what this node found out of a hub's copy stands, whatever others tell", () => {
  const words = createManifestWords(manifest("hub", RIGHT, null), [{ by: "b", manifest: manifest("member", WRONG, WRONG) }]);
  expect(words.about(first, "c")).toEqual({ sha256: RIGHT, by: null });
  expect(words.about(second, "c")).toEqual({ sha256: WRONG, by: "b" });
  expect(words.kept).toBeNull();
});

test("a file of which nobody knows what it must be says nothing", () => {
  expect(createManifestWords(manifest("file", RIGHT), []).about(first, "c")).toBeNull();
  expect(NO_WORDS.about(first, "c")).toBeNull();
});

test("nobody vouches for what it sends itself", () => {
  const words = createManifestWords(null, [{ by: "b", manifest: manifest("member", RIGHT) }]);
  expect(words.about(first, "b")).toBeNull();
  expect(words.about(first, "c")).toEqual({ sha256: RIGHT, by: "b" });
});

test("two that contradict each other are none, until one of them is withdrawn", () => {
  const told = [
    { by: "b", manifest: manifest("member", WRONG, RIGHT) },
    { by: "d", manifest: manifest("member", RIGHT, RIGHT) },
  ];
  const words = createManifestWords(null, told);
  expect(words.about(first, "c")).toBeNull();
  expect(words.about(second, "c")).toEqual({ sha256: RIGHT, by: "b" });
  words.withdraw("b");
  expect(words.about(first, "c")).toEqual({ sha256: RIGHT, by: "d" });
  expect(words.kept).toBe(told[1]?.manifest);
  words.withdraw("d");
  expect(words.about(first, "c")).toBeNull();
  expect(words.kept).toBeNull();
});
