import { fc, test as property } from "@fast-check/vitest";
import { describe, expect, test } from "vitest";
import { createFrameScanner, type FrameScanner, type Verdict } from "./frame-scanner.ts";
import { BadFrame } from "./protocol.ts";

const PREFIX = 3;

/** Frames of this test: a verdict, a size, and that many bytes; heads of up to four payload bytes. */
function frame(verdict: number, payload: Uint8Array): Buffer {
  const prefix = Buffer.alloc(PREFIX);
  prefix.writeUInt8(verdict, 0);
  prefix.writeUInt16LE(payload.length, 1);
  return Buffer.concat([prefix, payload]);
}
const REPLACEMENT = Buffer.from("instead");
const VERDICTS: readonly Verdict[] = ["pass", "drop", REPLACEMENT];

interface Seen {
  readonly scanner: FrameScanner;
  readonly out: Buffer[];
  readonly heads: Buffer[];
  readonly bodies: Buffer[];
}

function scan(slowly = false): Seen {
  const out: Buffer[] = [];
  const heads: Buffer[] = [];
  const bodies: Buffer[] = [];
  const scanner = createFrameScanner({
    prefixBytes: PREFIX,
    measure: (prefix) => ({ payloadBytes: prefix.readUInt16LE(1), headBytes: 4 }),
    begin(head) {
      heads.push(Buffer.from(head));
      const verdict = VERDICTS[head.readUInt8(0)] ?? "pass";
      return slowly ? Promise.resolve(verdict) : verdict;
    },
    body: (bytes) => void bodies.push(Buffer.from(bytes)),
    // What leaves may be the chunk's own memory: it is looked at before the chunk is used again.
    emit: (bytes) => void out.push(Buffer.from(bytes)),
  });
  return { scanner, out, heads, bodies };
}

const frames = fc.array(fc.tuple(fc.nat({ max: 2 }), fc.uint8Array({ maxLength: 40 })), { maxLength: 20 });
const cuts = fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 60 });

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  let at = 0;
  for (const size of [...sizes, bytes.length]) {
    if (at < bytes.length) chunks.push(Buffer.from(bytes.subarray(at, at + size)));
    at += size;
  }
  return chunks;
}

describe("a stream of frames", () => {
  property.prop([frames, cuts, fc.boolean()])("comes out the same however it is cut", async (list, sizes, slowly) => {
    const seen = scan(slowly);
    const whole = Buffer.concat(list.map(([verdict, payload]) => frame(verdict, payload)));
    for (const chunk of cut(whole, sizes)) await seen.scanner.push(chunk);
    const wanted = list.map(([verdict, payload]) =>
      verdict === 0 ? frame(verdict, payload) : verdict === 1 ? Buffer.alloc(0) : REPLACEMENT,
    );
    expect(Buffer.concat(seen.out)).toEqual(Buffer.concat(wanted));
    expect(seen.heads).toEqual(
      list.map(([verdict, payload]) => frame(verdict, payload).subarray(0, PREFIX + Math.min(4, payload.length))),
    );
    expect(Buffer.concat(seen.bodies)).toEqual(
      Buffer.concat(list.flatMap(([verdict, payload]) => (verdict === 0 ? [Buffer.from(payload.subarray(4))] : []))),
    );
    expect(seen.scanner.atBoundary).toBe(true);
  });

  test("leaves as the memory it came in, in one piece, where nothing is taken out", async () => {
    const out: Buffer[] = [];
    const scanner = createFrameScanner({
      prefixBytes: PREFIX,
      measure: (prefix) => ({ payloadBytes: prefix.readUInt16LE(1), headBytes: 4 }),
      begin: () => "pass",
      emit: (bytes) => void out.push(bytes),
    });
    const chunk = Buffer.concat([frame(0, Buffer.alloc(100, 1)), frame(0, Buffer.alloc(7, 2)), frame(0, Buffer.alloc(2, 3))]);
    await scanner.push(chunk);
    expect(out).toHaveLength(1);
    expect(out[0]).toBe(chunk);
  });

  test("is at a boundary only between frames", async () => {
    const { scanner } = scan();
    const bytes = frame(0, Buffer.alloc(10));
    expect(scanner.atBoundary).toBe(true);
    for (const byte of bytes.subarray(0, -1)) {
      await scanner.push(Buffer.of(byte));
      expect(scanner.atBoundary).toBe(false);
    }
    await scanner.push(bytes.subarray(-1));
    expect(scanner.atBoundary).toBe(true);
  });

  test("ends where a size is none", () => {
    const scanner = createFrameScanner({
      prefixBytes: PREFIX,
      measure: () => ({ payloadBytes: NaN, headBytes: 4 }),
      begin: () => "pass",
      emit: () => undefined,
    });
    expect(() => scanner.push(Buffer.alloc(PREFIX))).toThrow(BadFrame);
  });
});
