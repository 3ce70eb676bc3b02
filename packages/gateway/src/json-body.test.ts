import { fc, test as property } from "@fast-check/vitest";
import { describe, expect, test } from "vitest";
import { createBodyReader, depthExceeds, parseObject } from "./json-body.ts";
import { BASE } from "./testing/client.ts";

function depthOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

property.prop([fc.jsonValue({ maxDepth: 6 })])("the depth told from the text is that of the value", (value) => {
  const bytes = Buffer.from(JSON.stringify(value));
  const depth = depthOf(value);
  expect(depthExceeds(bytes, depth)).toBe(false);
  if (depth > 0) expect(depthExceeds(bytes, depth - 1)).toBe(true);
});

test("100,000 levels are refused before they are parsed, however they are closed", () => {
  for (const text of ["[".repeat(100_000), `{"a":`.repeat(100_000), `{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`]) {
    expect(() => parseObject(Buffer.from(text))).toThrow(/nested more than/);
  }
  expect(parseObject(Buffer.from(`{"a":${"[".repeat(50)}${"]".repeat(50)}}`))).toHaveProperty("a");
});

test("what is no JSON object is refused", () => {
  for (const text of ["", "[]", "null", "1", "{", '{"a":1}x']) expect(() => parseObject(Buffer.from(text))).toThrow(/JSON/);
  expect(() => parseObject(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))).toThrow(/not valid JSON/);
});

function request(body: string, headers: Record<string, string> = {}): Request {
  return new Request(BASE, { method: "POST", body, headers: { "content-type": "application/json", ...headers } });
}

describe("reading bodies", () => {
  test("within limits it is read; `__proto__` is a key like any other", async () => {
    const body = await createBodyReader().read(request('{"__proto__":{"x":1},"b":2}'));
    expect(body["b"]).toBe(2);
    expect(Object.hasOwn(body, "__proto__")).toBe(true);
    expect(({} as { x?: number }).x).toBeUndefined();
  });

  test("a body that is announced or turns out too large is refused with 413", async () => {
    const reader = createBodyReader({ bodyBytes: 10 });
    await expect(reader.read(request("{}", { "content-length": "11" }))).rejects.toMatchObject({ status: 413 });
    await expect(reader.read(request('{"a":"12345"}'))).rejects.toMatchObject({ status: 413 });
    await expect(reader.read(request('{"a":"12"}'))).resolves.toEqual({ a: "12" });
  });

  test("bodies held together are bounded, and let go again", async () => {
    const reader = createBodyReader({ bodiesBytes: 10 });
    const pipe = new TransformStream<Uint8Array, Uint8Array>();
    const writer = pipe.writable.getWriter();
    const body = pipe.readable;
    const headers = { "content-type": "application/json" };
    const stuck = new Request(BASE, { method: "POST", body, duplex: "half", headers } as RequestInit);
    const first = reader.read(stuck);
    await writer.write(Buffer.from('{"a":1'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    await expect(reader.read(request('{"b":22}'))).rejects.toMatchObject({ code: "queue_full" });
    await writer.abort(new Error("aborted"));
    await expect(first).rejects.toMatchObject({ status: 499 });
    await expect(reader.read(request('{"b":22}'))).resolves.toEqual({ b: 22 });
  });

  test("only plain JSON is taken", async () => {
    const reader = createBodyReader();
    await expect(reader.read(request("{}", { "content-type": "text/plain" }))).rejects.toMatchObject({ status: 415 });
    await expect(reader.read(request("{}", { "content-encoding": "gzip" }))).rejects.toMatchObject({ status: 415 });
    await expect(reader.read(request("{}", { "content-type": "Application/JSON; charset=utf-8" }))).resolves.toEqual({});
  });
});
