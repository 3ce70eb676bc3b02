import { fc } from "@fast-check/vitest";
import { expect, test } from "vitest";
import { heldPart, layersText, parseLayers } from "./held-part.ts";
import { LAYERS_MAX } from "./limits.ts";

const PART = { contentId: "ab", model: "m", layers: "0-9,12", hasHead: true, diskBytes: 5, fetching: null };

test("any layers come back from their text as they were", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(LAYERS_MAX - 1)), (layers) => {
      const text = layersText(layers);
      expect([...(parseLayers(text) ?? [])].sort((a, b) => a - b)).toEqual([...layers].sort((a, b) => a - b));
    }),
  );
});

test("what is no such text is none, and costs nothing", () => {
  for (const text of ["1-", "-1", "2-1", "1,1", "3,2", "0-5,5", "a", "0-1024", "1024", " 1", "1,,2", "0x1", "1".repeat(9999)])
    expect(parseLayers(text), text).toBeNull();
  fc.assert(fc.property(fc.string(), (text) => void parseLayers(text)));
});

test("a part that a member tells of is checked", () => {
  expect(heldPart(PART, "held")).toEqual(PART);
  expect(heldPart({ ...PART, fetching: { layers: "3", hasHead: false, more: 1 } }, "held").fetching).toEqual({
    layers: "3",
    hasHead: false,
  });
  for (const wrong of [{ layers: "9-0" }, { layers: 3 }, { hasHead: 1 }, { diskBytes: -1 }, { fetching: { layers: "x" } }])
    expect(() => heldPart({ ...PART, ...wrong }, "held"), JSON.stringify(wrong)).toThrow(/held/u);
});
