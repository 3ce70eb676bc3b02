import { fc, test } from "@fast-check/vitest";
import { expect, vi } from "vitest";
import { ClusterdError, ERROR_CODES } from "./errors.ts";
import { decodeMessage, encodeMessage } from "./codec.ts";
import { encodeFrame, FrameReader } from "./frame.ts";
import { parseControlReply, parseControlRequest } from "./parse-control.ts";

const value = fc.letrec((tie) => ({
  any: fc.oneof(
    fc.string(),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).filter((number) => !Object.is(number, -0)),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie("any"), { maxLength: 4 }),
    fc.dictionary(
      fc.string().filter((key) => key !== "__proto__"),
      tie("any"),
      { maxKeys: 4 },
    ),
  ),
})).any;

test.prop([value])("a message comes back as it was sent", (sent) => {
  expect(decodeMessage(encodeMessage(sent))).toEqual(JSON.parse(JSON.stringify(sent)));
});

test.prop([fc.uint8Array({ maxLength: 200 })])("random bytes are decoded or refused by name", (bytes) => {
  try {
    decodeMessage(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(ClusterdError);
  }
});

test("bombs are refused before memory is spent", () => {
  const bombs = {
    array32: [0xdd, 0xff, 0xff, 0xff, 0xff],
    map32: [0xdf, 0x7f, 0xff, 0xff, 0xff],
    bin32: [0xc6, 0xff, 0xff, 0xff, 0xff],
    str32: [0xdb, 0xff, 0xff, 0xff, 0xff],
    nesting: Array.from({ length: 100_000 }, () => 0x91),
    extension: [0xc7, 0x01, 0x01, 0x00],
    trailing: [0xc0, 0xc0],
  };
  for (const [name, bytes] of Object.entries(bombs))
    expect(() => decodeMessage(Uint8Array.from(bytes)), name).toThrow(ClusterdError);
  expect(decodeMessage(Uint8Array.from([0x91, 0xc0]))).toEqual([null]);
});

test("__proto__ in a message pollutes nothing", () => {
  const bytes = Uint8Array.from([0x81, 0xa9, ...Buffer.from("__proto__"), 0x81, 0xa1, 0x78, 0x01]);
  decodeMessage(bytes);
  expect(({} as { x?: number }).x).toBeUndefined();
});

test.prop([fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 8 }), fc.integer({ min: 1, max: 30 })])(
  "frames survive any cutting of the stream",
  (payloads, size) => {
    const stream = Buffer.concat(payloads.map(encodeFrame));
    const reader = new FrameReader(50);
    const got: Uint8Array[] = [];
    for (let at = 0; at < stream.length; at += size) got.push(...reader.push(stream.subarray(at, at + size)));
    expect(got.map((frame) => Buffer.from(frame).toString("hex"))).toEqual(
      payloads.map((payload) => Buffer.from(payload).toString("hex")),
    );
  },
);

/** Bytes that are copied from one array of bytes to another while `work` runs. */
function copiedBytes(work: () => void): number {
  const { set, slice } = Uint8Array.prototype;
  let copied = 0;
  const spies = [
    vi.spyOn(Uint8Array.prototype, "set").mockImplementation(function (this: Uint8Array, from, at) {
      copied += from.length;
      set.call(this, from, at);
    }),
    vi.spyOn(Uint8Array.prototype, "slice").mockImplementation(function (this: Uint8Array, from, to) {
      const part = slice.call(this, from, to);
      copied += part.length;
      return part;
    }),
  ];
  try {
    work();
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return copied;
}

test.each([1, 100, 1_500, 70_000, 300_000])("a large frame in chunks of %i bytes is copied three times at most", (size) => {
  const payload = Uint8Array.from({ length: 300_000 }, (_, at) => at % 251);
  const stream = encodeFrame(payload);
  const reader = new FrameReader(payload.length);
  const got: Uint8Array[] = [];
  const copied = copiedBytes(() => {
    for (let at = 0; at < stream.length; at += size) got.push(...reader.push(stream.subarray(at, at + size)));
  });
  expect(got).toHaveLength(1);
  expect(Buffer.from(got[0] ?? []).equals(Buffer.from(payload))).toBe(true);
  expect(copied).toBeGreaterThanOrEqual(payload.length);
  expect(copied).toBeLessThanOrEqual(3 * payload.length);
});

test("a frame over the limit is refused by its length alone", () => {
  expect(() => new FrameReader(100).push(Uint8Array.from([0xff, 0xff, 0xff, 0xff]))).toThrow(/limit/);
  expect(new FrameReader(100).push(encodeFrame(new Uint8Array(100)))).toHaveLength(1);
});

test("requests and replies are checked, their faults named", () => {
  expect(parseControlRequest({ type: "approve", code: "123-456", more: 1 })).toEqual({ type: "approve", code: "123-456" });
  expect(() => parseControlRequest({ type: "worker-stop", deployment: "d", epoch: -1 })).toThrow(/worker-stop\.epoch/);
  expect(() => parseControlRequest({ type: "constructor" })).toThrow(/unknown type/);
  expect(parseControlReply("drain", { ok: true, answer: { draining: true } })).toEqual({ ok: true, answer: { draining: true } });
  const refused = (code: unknown): unknown => ({ ok: false, error: { code, message: "No.", next: null } });
  for (const code of ERROR_CODES)
    expect(parseControlReply("drain", refused(code))).toEqual({ ok: false, error: { code, message: "No.", next: null } });
  // A newer member's word, or no word of ours at all: a failure, with what it says of it.
  for (const code of ["made_up", "", "toString", "x".repeat(1_000), 7, null])
    expect(parseControlReply("drain", refused(code))).toEqual({
      ok: false,
      error: { code: "failed", message: "No.", next: null },
    });
  expect(
    parseControlReply("fetch-layers", {
      ok: true,
      answer: { state: "failed", doneBytes: 0, totalBytes: 0, error: { code: "new", message: "No." } },
    }),
  ).toMatchObject({ answer: { error: { code: "failed" } } });
  expect(() => parseControlReply("worker-start", { ok: true, answer: { ticket: new Uint8Array(3) } })).toThrow(/32 bytes/);
});
