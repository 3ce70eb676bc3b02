import { fc, test as property } from "@fast-check/vitest";
import { expect, test } from "vitest";
import { DEVICES_MAX, placeOf, placeText } from "./stage-place.ts";

test.each([
  ["pc", "pc", 0],
  ["pc#1", "pc", 1],
  ["pc#15", "pc", 15],
  ["pc#0", "pc#0", 0],
  ["pc#100", "pc#100", 0],
  ["#1", "#1", 0],
  ["a#b", "a#b", 0],
])("%s is device %s of %s", (text, node, device) => {
  expect(placeOf(text)).toEqual({ node, device });
});

property.prop([
  fc.string({ minLength: 1 }).filter((name) => !name.includes("#") && !/[\n\r\u2028\u2029]/.test(name)),
  fc.nat({ max: DEVICES_MAX }),
])("a place comes back from its text", (node, device) => {
  expect(placeOf(placeText({ node, device }))).toEqual({ node, device });
});
