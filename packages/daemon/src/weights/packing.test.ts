import { randomBytes } from "node:crypto";
import { constants, zstdCompressSync } from "node:zlib";
import { fc, test } from "@fast-check/vitest";
import { expect } from "vitest";
import { createPackingSense, packSlice, SLICE_BYTES, unpackSlice } from "./packing.ts";

const bytes = fc.uint8Array({ minLength: 1, maxLength: 5_000 }).map((some) => Buffer.from(some));
/** Bytes of which some can be packed. */
const slices = fc.oneof(
  bytes,
  fc
    .tuple(bytes, fc.integer({ min: 2, max: 40 }))
    .map(([some, times]) => Buffer.concat(Array.from({ length: times }, () => some))),
);

test.prop({ plain: slices })("what is packed is the same unpacked, and smaller", async ({ plain }) => {
  const packed = await packSlice(plain);
  if (packed === null) return;
  expect(packed.length).toBeLessThan(plain.length);
  expect((await unpackSlice(packed, plain.length)).equals(plain)).toBe(true);
  // Any other length is refused.
  await expect(unpackSlice(packed, plain.length - 1)).rejects.toMatchObject({ code: "invalid_request" });
  await expect(unpackSlice(packed, plain.length + 1)).rejects.toMatchObject({ code: "invalid_request" });
});

test.prop({ sent: bytes, plainBytes: fc.integer({ min: 1, max: SLICE_BYTES }) })(
  "bytes that are no slice are refused, whatever they are",
  async ({ sent, plainBytes }) => {
    await expect(unpackSlice(sent, plainBytes)).rejects.toMatchObject({ code: "invalid_request" });
  },
);

test("random bytes are not packed, and bytes as weights are", async () => {
  expect(await packSlice(randomBytes(SLICE_BYTES))).toBeNull();
  const weights = Buffer.from(randomBytes(SLICE_BYTES).map((byte) => byte & 0x3f));
  const packed = await packSlice(weights);
  expect(packed?.length).toBeLessThan(SLICE_BYTES * 0.8);
  expect((await unpackSlice(packed ?? Buffer.alloc(0), SLICE_BYTES)).equals(weights)).toBe(true);
});

test("a bomb is refused before it is unpacked: one that is longer than it says, one for a larger window, one that is too long", async () => {
  const bomb = zstdCompressSync(Buffer.alloc(512 * 1024 * 1024));
  expect(bomb.length).toBeLessThan(SLICE_BYTES);
  const before = process.memoryUsage().rss;
  await expect(unpackSlice(bomb, SLICE_BYTES)).rejects.toMatchObject({ code: "invalid_request" });
  const wide = zstdCompressSync(Buffer.alloc(SLICE_BYTES * 8), {
    params: { [constants.ZSTD_c_windowLog]: 27, [constants.ZSTD_c_compressionLevel]: 19 },
  });
  await expect(unpackSlice(wide, SLICE_BYTES)).rejects.toMatchObject({ code: "invalid_request" });
  await expect(unpackSlice(zstdCompressSync(Buffer.alloc(100)), SLICE_BYTES + 1)).rejects.toThrow(/too large/u);
  expect(process.memoryUsage().rss - before).toBeLessThan(256 * 1024 * 1024);
});

test("packing rests where it does not help, longer and longer, and goes on where it does", () => {
  const sense = createPackingSense();
  const tried = (how: "gained" | "useless" | "late", slices: number): number => {
    let count = 0;
    for (let slice = 0; slice < slices; slice++)
      if (sense.worthTrying()) {
        count += 1;
        sense.tell(how);
      }
    return count;
  };
  expect(tried("gained", 1_000)).toBe(1_000);
  expect(tried("useless", 10_000)).toBeLessThan(30);
  // Found again once it helps.
  while (!sense.worthTrying());
  sense.tell("gained");
  expect(tried("gained", 100)).toBe(100);
  expect(tried("late", 10_000)).toBeLessThan(30);
});
