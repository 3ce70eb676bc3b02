import { open, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { fc, test as property } from "@fast-check/vitest";
import { ClusterdError } from "@clusterd/wire";
import { expect, test } from "vitest";
import { buildProfile } from "./build-profile.ts";
import { newContentHash, walkHeader, type GuardedHeader } from "./header-guard.ts";
import type { HeaderSource } from "./header-cursor.ts";
import { HEADER_BYTES_MAX, HEADER_WINDOW_BYTES } from "./limits.ts";
import { readMetadata, type ModelMetadata } from "./read-metadata.ts";
import { layoutOf } from "./shards/shard-layout.ts";
import { checkParts } from "./split-parts.ts";

const DEMO = fileURLToPath(new URL("../../../models/demo-16l-q8_0.gguf", import.meta.url));
const { signal } = new AbortController();
const HEADER_BYTES = 45_856;
const FILE_BYTES = 3_753_248;
const demo = await readFile(DEMO);
const realHeader = demo.subarray(0, HEADER_BYTES);
const metadata = await readMetadata(DEMO, signal);

/** A file that begins with these bytes and goes on with zeros. Counts what is asked of it. */
function source(start: Buffer, fileBytes: number): HeaderSource & { readonly read_: { bytes: number; largest: number } } {
  const read_ = { bytes: 0, largest: 0 };
  return {
    read_,
    async read(buffer, offset, length, position) {
      const bytesRead = Math.max(0, Math.min(length, fileBytes - position));
      read_.bytes += bytesRead;
      read_.largest = Math.max(read_.largest, length);
      buffer.fill(0, offset, offset + bytesRead);
      if (position < start.length) start.copy(buffer, offset, position, position + bytesRead);
      return { bytesRead };
    },
  };
}

/** Walks over what may be a header: gives it, or null where it was refused. Anything but a refusal in words fails the test. */
async function walked(start: Buffer, fileBytes: number): Promise<GuardedHeader | null> {
  const from = source(start, fileBytes);
  let header: GuardedHeader | null = null;
  try {
    header = await walkHeader(from, "/models/x.gguf", fileBytes, newContentHash(), signal);
  } catch (error) {
    expect(error).toBeInstanceOf(ClusterdError);
    expect(error).toMatchObject({ code: "model_broken" });
    expect((error as ClusterdError).message.length).toBeLessThan(1600);
    // Nothing that moves a terminal's cursor or hides text.
    expect((error as ClusterdError).message).not.toMatch(/[\p{Cc}\u202E]/u);
  }
  // A window at a time, the header twice at most: once walked over, once hashed.
  expect(from.read_.largest).toBeLessThanOrEqual(HEADER_WINDOW_BYTES);
  expect(from.read_.bytes).toBeLessThanOrEqual(2 * Math.min(fileBytes, HEADER_BYTES_MAX + HEADER_WINDOW_BYTES) + 64);
  if (header !== null) checkPlaces(header);
  return header;
}

/** All tensors lie in the file, none over another, and blocks cover them. */
function checkPlaces({ tensors, dataStart, fileBytes, ...rest }: GuardedHeader): void {
  // Compared by hand: an assertion for each block would take longer than all else.
  let end = dataStart;
  let isRight = true;
  for (const { offset, bytes } of tensors) {
    isRight &&= Number.isSafeInteger(bytes) && bytes >= 0 && dataStart + offset >= end;
    end = dataStart + offset + bytes;
  }
  expect(isRight && end <= fileBytes).toBe(true);
  const { blocks } = layoutOf([{ tensors, dataStart, fileBytes, ...rest }]);
  let at = dataStart;
  for (const block of blocks) {
    isRight &&= block.position === at && block.bytes > 0;
    at = block.position + block.bytes;
  }
  expect(isRight).toBe(true);
  if (blocks.length > 0) expect(at).toBe(fileBytes);
}

/** A profile of it, or a refusal in words. */
function profiled(header: GuardedHeader, meaning: ModelMetadata): void {
  try {
    checkParts([header]);
    const profile = buildProfile([header], "0".repeat(64), meaning);
    expect(profile.layers.length).toBeLessThanOrEqual(1024);
  } catch (error) {
    expect(error).toBeInstanceOf(ClusterdError);
  }
}

/** Lengths and counts at which arithmetic goes wrong. */
const extremes = [
  0n,
  1n,
  63n,
  64n,
  65n,
  255n,
  1024n,
  1025n,
  65_535n,
  65_536n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
];
const huge = [
  2n ** 40n,
  2n ** 52n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 53n + 1n,
  2n ** 60n,
  2n ** 61n,
  2n ** 62n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
];
type Edit = (bytes: Buffer) => Buffer;
const place = fc.nat(HEADER_BYTES - 9);
const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.tuple(place, fc.constantFrom(...extremes, ...huge)).map(([at, value]): Edit => (bytes) => {
    if (at + 8 <= bytes.length) bytes.writeBigUInt64LE(value, at);
    return bytes;
  }),
  fc.tuple(place, fc.uint8Array({ minLength: 1, maxLength: 12 })).map(([at, value]): Edit => (bytes) => {
    Buffer.from(value).copy(bytes, at);
    return bytes;
  }),
  fc.tuple(place, fc.nat(2000), place).map(([from, length, to]): Edit => (bytes) => {
    // A piece of it once more: names and tensors that are there twice.
    return Buffer.concat([bytes.subarray(0, to), bytes.subarray(from, from + length), bytes.subarray(to)]);
  }),
  fc.tuple(place, fc.nat(200)).map(
    ([at, length]): Edit =>
      (bytes) =>
        Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]),
  ),
);
/** Where the real header has its lengths and counts: what is edited at random there is read as such. */
const lengths: number[] = [8, 16, 24];
for (let at = 24; at < HEADER_BYTES - 16; at++)
  if (demo.readUInt32LE(at + 4) === 0 && demo.readUInt32LE(at) > 0 && demo.readUInt32LE(at) < 64) lengths.push(at);
const aimed: fc.Arbitrary<Edit> = fc
  .tuple(fc.constantFrom(...lengths), fc.constantFrom(...extremes, ...huge))
  .map(([at, value]): Edit => (bytes) => {
    if (at + 8 <= bytes.length) bytes.writeBigUInt64LE(value, at);
    return bytes;
  });

property.prop(
  [fc.array(fc.oneof(edit, aimed, aimed), { minLength: 1, maxLength: 4 }), fc.constantFrom(FILE_BYTES, HEADER_BYTES, 2 ** 34)],
  {
    numRuns: 2000,
  },
)(
  "a real header, changed anywhere: a header with all tensors in the file, or a refusal in words",
  async (edits, fileBytes) => {
    const header = await walked(
      edits.reduce<Buffer>((bytes, change) => change(bytes), Buffer.from(realHeader)),
      fileBytes,
    );
    if (header !== null) profiled(header, metadata);
  },
  60_000,
);

/** A GGUF of two tensors and a few entries, small enough to try every byte of it. */
function small(): Buffer {
  const u32 = (value: number): Buffer => Buffer.from(Uint32Array.of(value).buffer);
  const u64 = (value: number): Buffer => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
  const text = (value: string): Buffer => Buffer.concat([u64(value.length), Buffer.from(value)]);
  const tensor = (name: string, offset: number): Buffer =>
    Buffer.concat([text(name), u32(2), u64(4), u64(2), u32(0), u64(offset)]);
  return Buffer.concat([
    Buffer.from("GGUF"),
    u32(3),
    u64(2),
    u64(4),
    Buffer.concat([text("general.architecture"), u32(8), text("llama")]),
    Buffer.concat([text("general.alignment"), u32(4), u32(32)]),
    Buffer.concat([text("a.list"), u32(9), u32(8), u64(2), text("x"), text("yz")]),
    Buffer.concat([text("b.numbers"), u32(9), u32(5), u64(3), u32(1), u32(2), u32(3)]),
    tensor("blk.0.a", 0),
    tensor("token_embd.weight", 32),
  ]);
}

test("a header that ends at any byte is refused, and so is one whose file ends at any byte", async () => {
  const bytes = small();
  const dataStart = Math.ceil(bytes.length / 32) * 32;
  const whole = Buffer.concat([bytes, Buffer.alloc(dataStart - bytes.length + 64)]);
  expect((await walked(whole, whole.length))?.tensors).toHaveLength(2);
  for (let length = 0; length < whole.length; length++)
    expect(await walked(whole.subarray(0, length), length), `${length}`).toBeNull();
  for (let length = 0; length < HEADER_BYTES; length += 37)
    expect(await walked(realHeader.subarray(0, length), length)).toBeNull();
});

test("every byte of a header, at any value", { timeout: 120_000 }, async () => {
  const bytes = small();
  const file = Buffer.concat([bytes, Buffer.alloc(4096)]);
  let refused = 0;
  for (let at = 0; at < bytes.length; at++) {
    for (const value of [0, 1, 2, 8, 9, 10, 13, 32, 127, 128, 255, (file[at] ?? 0) ^ 1]) {
      const changed = Buffer.from(file);
      changed[at] = value;
      if ((await walked(changed, changed.length)) === null) refused += 1;
    }
  }
  expect(refused).toBeGreaterThan(500);
});

test("lists in lists, absurd alignments, tensors with sides that overflow, names that are listed twice", async () => {
  const bytes = Buffer.concat([small(), Buffer.alloc(4096)]);
  const at = (text: string, from = 0): number => bytes.indexOf(text, from) + text.length;
  const changed = (place: number, value: Buffer): Buffer => {
    const copy = Buffer.from(bytes);
    value.copy(copy, place);
    return copy;
  };
  const u64 = (value: bigint): Buffer => Buffer.from(BigUint64Array.of(value).buffer);
  const refusals: readonly (readonly [Buffer, RegExp])[] = [
    [changed(at("a.list") + 4, Buffer.from(Uint32Array.of(9).buffer)), /unknown type 9/u],
    ...[0, 3, 48, 2 ** 17, 2 ** 31].map(
      (alignment) =>
        [changed(at("general.alignment") + 4, Buffer.from(Uint32Array.of(alignment).buffer)), /an alignment of/u] as const,
    ),
    ...huge.map((side) => [changed(at("blk.0.a") + 4, u64(side)), /header is corrupt|cut short/u] as const),
    // Two sides whose product is 2^64, and 0 to a machine of 64 bits.
    [changed(at("blk.0.a") + 4, Buffer.concat([u64(2n ** 32n), u64(2n ** 32n)])), /more than any machine holds|cut short/u],
    // A side of 0 makes the others no smaller.
    [changed(at("blk.0.a") + 4, Buffer.concat([u64(2n ** 62n), u64(0n)])), /header is corrupt/u],
    [changed(at("token_embd.weight") + 24, u64(2n ** 64n - 32n)), /does not follow/u],
    [changed(at("token_embd.weight") + 24, u64(0n)), /overlaps/u],
    [changed(at("blk.0.a") - 3, Buffer.from("\0")), /header is corrupt/u],
  ];
  for (const [file, message] of refusals) {
    const walk = walkHeader(source(file, file.length), "x.gguf", file.length, newContentHash(), signal);
    await expect(walk).rejects.toThrow(message);
  }
});

test("a file that is said to be larger than any is refused before blocks are made of it", async () => {
  for (const fileBytes of [2 ** 43, 2 ** 52, Number.MAX_SAFE_INTEGER]) {
    const walk = walkHeader(source(realHeader, fileBytes), "x.gguf", fileBytes, newContentHash(), signal);
    await expect(walk).rejects.toMatchObject({ code: "model_broken" });
  }
  await using handle = await open(DEMO);
  const header = await walkHeader(handle, DEMO, FILE_BYTES, newContentHash(), signal);
  expect(() => layoutOf(Array.from({ length: 1024 }, () => ({ ...header, fileBytes: 2 ** 42 })))).toThrow(/larger than/u);
});

/** What a reader may make of a hostile header. */
const meaning = fc.oneof(
  fc.constantFrom(0, -1, 1.5, 2 ** 31, 2 ** 53, 1e300, Number.NaN, Infinity, "16", "", null, true, [], {}, [1, 2], [null], [[]]),
  fc.array(fc.oneof(fc.integer(), fc.double(), fc.string(), fc.boolean()), { maxLength: 40 }),
  fc.string({ maxLength: 40 }),
);
const keys = Object.keys(metadata.specific);
property.prop(
  [
    fc.array(fc.tuple(fc.constantFrom(...keys, "attention", "rope", "ssm", "nextn_predict_layers", "__proto__"), meaning), {
      maxLength: 5,
    }),
    fc.string({ maxLength: 20 }),
    meaning,
  ],
  {
    numRuns: 3000,
  },
)("whatever its values mean, there is a profile or a refusal in words", async (changes, architecture, name) => {
  await using handle = await open(DEMO);
  const header = await realWalk(handle);
  const specific = { ...metadata.specific, ...Object.fromEntries(changes) };
  const isOther = architecture.length > 15;
  profiled(header, {
    ...metadata,
    general: { ...metadata.general, name, ...(isOther ? { architecture } : {}) },
    specific,
  });
});

let kept: Promise<GuardedHeader> | null = null;
const realWalk = (handle: HeaderSource): Promise<GuardedHeader> =>
  (kept ??= walkHeader(handle, DEMO, FILE_BYTES, newContentHash(), signal));
