import { expect, test } from "vitest";
import { placeBody, PLACE_FLAGS } from "./place-flags.ts";

const nothing = {
  ...{ ctx: undefined, slots: undefined, kv: undefined, draft: undefined, speculation: undefined, "flash-attention": undefined },
  ...{ objective: undefined, head: undefined, pin: [], without: [] },
};

test("what was not given is not sent; a draft model's path is one in the caller's folder", () => {
  expect(placeBody(nothing, "/here")).toEqual({});
  expect(placeBody({ ...nothing, draft: "small.gguf", kv: "q8_0" }, "/here")).toEqual({ draft: "/here/small.gguf", kv: "q8_0" });
  expect(placeBody({ ...nothing, draft: "demo", speculation: "draft" }, "/here")).toEqual({
    draft: "demo",
    speculation: "draft",
  });
});

test("flash attention is on or off, and true or false in a request", () => {
  expect(placeBody({ ...nothing, "flash-attention": "off" }, "/here")).toEqual({ flashAttention: false });
  expect(placeBody({ ...nothing, "flash-attention": "on" }, "/here")).toEqual({ flashAttention: true });
  expect(() => PLACE_FLAGS["flash-attention"].read(["no"], "--flash-attention")).toThrow(/on, off/);
});

test("speculation is one of its words", () => {
  expect(PLACE_FLAGS.speculation.read(["ngram"], "--speculation")).toBe("ngram");
  expect(() => PLACE_FLAGS.speculation.read(["fast"], "--speculation")).toThrow(/auto, off, draft, ngram, mtp/);
});
