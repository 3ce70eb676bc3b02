import { asContentId, type ModelTensors } from "@clusterd/wire";
import { expect, test } from "vitest";
import { tensorsLines } from "./tensors-view.ts";

const plain = (_: unknown, text: string): string => text;
const tensor = (name: string, layer: number | null, sha256: string | null): ModelTensors["tensors"][number] => ({
  ...{ name, layer, sha256, type: layer === null ? "F16" : "Q8_0", dims: [4], part: 0, offset: 0, bytes: 1_000_000, fnv1a: null },
});
const model = (changes: Partial<ModelTensors>): ModelTensors => ({
  model: "big",
  contentId: asContentId("c"),
  source: "hub",
  parts: [{ name: "big.gguf", bytes: 1, dataStart: 0, sha256: null }],
  tensors: [
    tensor("output.weight", null, "ab"),
    tensor("blk.1.a", 1, "ab"),
    tensor("blk.1.b", 1, null),
    tensor("blk.0.a", 0, null),
  ],
  ...changes,
});

test("a line for each layer, what belongs to none last, and how much of it is known", () => {
  const [first, , ...lines] = tensorsLines(model({}), plain);
  expect(first).toBe(
    "big: 4 tensors in 1 file, 4.0 MB; digests of 2.0 MB are known: read through here and found to be what the hub says",
  );
  expect(lines.map((line) => line.trim().split(/\s{2,}/u))).toEqual([
    ["LAYER", "TENSORS", "TYPES", "SIZE", "KNOWN"],
    ["0", "1", "Q8_0", "1.0 MB", "-"],
    ["1", "2", "Q8_0", "2.0 MB", "1.0 MB"],
    ["none", "1", "F16", "1.0 MB", "all"],
  ]);
});

test("where nothing is known that is said; names from files are shown as they can be", () => {
  const [first] = tensorsLines(model({ model: "x\u001b[31m", tensors: [tensor("a", 0, null)], source: "file" }), plain);
  expect(first).toMatch(/: 1 tensors? in 1 file, 1\.0 MB; no digest is known yet$/u);
  expect(first).not.toContain("\u001b");
});
