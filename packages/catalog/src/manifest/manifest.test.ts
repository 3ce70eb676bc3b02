import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { fc, test } from "@fast-check/vitest";
import { asContentId } from "@clusterd/wire";
import { afterAll, expect, test as plain } from "vitest";
import { MANIFESTS_KEPT_MAX } from "../limits.ts";
import { readModelFile, type ModelFile } from "../read-model.ts";
import { digestFiles } from "./digest-files.ts";
import { createFnv1a, fnv1aOfZeros } from "./fnv1a.ts";
import { betterManifest, conflictsOf, withDigests, type ManifestSource, type ModelManifest } from "./manifest.ts";
import { createManifestStore } from "./manifest-store.ts";
import { manifestText, parseManifest } from "./parse-manifest.ts";
import { createRangeDigests } from "./range-digests.ts";

const { signal } = new AbortController();
const DEMO = fileURLToPath(new URL("../../../../models/demo-16l-q8_0.gguf", import.meta.url));
const MAKE_MODEL = fileURLToPath(new URL("../../../../scripts/make-model.ts", import.meta.url));
const content = await readFile(DEMO);
const demo: ModelFile = await readModelFile(DEMO, { signal });
const folder = await mkdtemp(join(tmpdir(), "clusterd-manifest-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const { manifest: bare, layout } = await createManifestStore(join(folder, "bare")).of(demo, signal);
const digested = withDigests(
  bare,
  await digestFiles(bare, { paths: demo.parts, layout, expected: [sha256(content)], share: 1, signal }),
);

/** As ggml-rpc.cpp has it. */
function fnvByDefinition(bytes: Uint8Array): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(16).padStart(16, "0");
}
function fnv(...pieces: readonly Uint8Array[]): string {
  const hash = createFnv1a();
  for (const piece of pieces) hash.update(piece);
  return hash.digest();
}

plain("FNV-1a is the one that its authors publish", () => {
  expect(fnv()).toBe("cbf29ce484222325");
  expect(fnv(Buffer.from("a"))).toBe("af63dc4c8601ec8c");
  expect(fnv(Buffer.from("foobar"))).toBe("85944171f73967e8");
});

test.prop([fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 5 })])("and the same however the bytes come", (pieces) => {
  expect(fnv(...pieces)).toBe(fnvByDefinition(Buffer.concat(pieces)));
});

plain("more bytes than the loop has memory for are hashed piece by piece", () => {
  const bytes = randomBytes(2 * 1024 * 1024 + 77);
  expect(fnv(bytes)).toBe(fnv(...Array.from({ length: 129 }, (_, at) => bytes.subarray(at * 16_384, (at + 1) * 16_384))));
  expect(fnv(bytes.subarray(0, 1_048_580))).toBe(fnvByDefinition(bytes.subarray(0, 1_048_580)));
});

test.prop([fc.nat(5_000)])("the hash of a hole is that of its zeros", (bytes) => {
  expect(fnv1aOfZeros(bytes)).toBe(fnv(new Uint8Array(bytes)));
});

test.prop([
  fc.array(fc.tuple(fc.nat(20), fc.integer({ min: 1, max: 60 }), fc.boolean()), { maxLength: 8 }),
  fc.integer({ min: 1, max: 90 }),
])("ranges of a stream are digested however it is cut", (given, size) => {
  let at = 0;
  const ranges = given.map(([gap, bytes, hollow]) => {
    const from = at + gap;
    at = from + bytes;
    return { from, to: at, hollow };
  });
  const stream = Buffer.from(Array.from({ length: at + 7 }, (_, index) => (index % 250) + 1));
  for (const { from, to, hollow } of ranges) if (hollow) stream.fill(0, from, to);
  const made = createRangeDigests(ranges);
  for (let done = 0; done < stream.length; done += size) made.push(stream.subarray(done, done + size));
  for (const [index, { from, to, hollow }] of ranges.entries())
    expect(made.digests.get(index)).toBe(hollow ? null : sha256(stream.subarray(from, to)));
});

plain("a manifest has every tensor where the header says, and of a whole file every digest", () => {
  expect(bare.source).toBe("file");
  expect(bare.parts).toEqual([
    { name: "demo-16l-q8_0.gguf", bytes: content.length, dataStart: bare.parts[0]?.dataStart, sha256: null },
  ]);
  expect(digested.source).toBe("hub");
  expect(digested.parts[0]?.sha256).toBe(sha256(content));
  expect(new Set(digested.tensors.map(({ layer }) => layer)).size).toBe(17);
  for (const { offset, bytes, sha256: told } of digested.tensors) {
    const own = content.subarray(offset, offset + bytes);
    expect(told).toBe(own.every((byte) => byte === 0) ? null : sha256(own));
  }
  for (const [index, { position, bytes }] of layout.blocks.entries())
    expect(digested.blocks[index]).toBe(sha256(content.subarray(position, position + bytes)));
});

plain("a file that is not what the hub tells has no manifest of the hub's", async () => {
  const path = join(folder, "flipped.gguf");
  const bent = Buffer.from(content);
  bent[content.length - 9] = (bent[content.length - 9] ?? 0) ^ 1;
  await writeFile(path, bent);
  const options = { paths: [path], layout, share: 1, signal };
  await expect(digestFiles(bare, { ...options, expected: [sha256(content)] })).rejects.toMatchObject({ code: "model_broken" });
  const own = withDigests(bare, await digestFiles(bare, { ...options, expected: null }));
  expect(own.source).toBe("file");
  // The part, one tensor, one block.
  expect(conflictsOf(digested, own)).toHaveLength(3);
});

const source = fc.constantFrom<ManifestSource>("hub", "member", "file");
/** The demo's manifest with some of its digests, some of them others. */
const known = fc
  .record({ source, seed: fc.nat(), share: fc.double({ min: 0, max: 1, noNaN: true }), bent: fc.boolean() })
  .map((given) => {
    let state = given.seed;
    const next = (): number => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31;
    const some = (digest: string | null): string | null =>
      next() > given.share ? null : given.bent && next() < 0.01 ? "0".repeat(64) : digest;
    return {
      ...digested,
      source: given.source,
      parts: digested.parts.map((part) => ({ ...part, sha256: some(part.sha256) })),
      tensors: digested.tensors.map((tensor) => ({
        ...tensor,
        sha256: some(tensor.sha256),
        fnv1a: next() < 0.5 ? null : "00".repeat(8),
      })),
      blocks: digested.blocks.map(some),
    } satisfies ModelManifest;
  });

test.prop([known])("what is written is read back the same", (manifest) => {
  expect(parseManifest(manifestText(manifest), bare)).toEqual(manifest);
});

test.prop([known, known])("the better source stays, and nothing is made up", (a, b) => {
  const ranks = ["file", "member", "hub"];
  const rank = (manifest: ModelManifest): number => ranks.indexOf(manifest.source);
  const made = betterManifest(a, b);
  const better = rank(b) > rank(a) ? b : a;
  expect(made.source).toBe(better.source);
  expect(conflictsOf(made, better)).toEqual([]);
  for (const [at, digest] of made.blocks.entries()) {
    const both = [better.blocks[at], ...(rank(a) === rank(b) ? [b.blocks[at]] : [])];
    expect(both).toContain(digest);
    if (better.blocks[at] !== null) expect(digest).toBe(better.blocks[at]);
  }
  for (const [at, { sha256: digest, fnv1a }] of made.tensors.entries()) {
    if (better.tensors[at]?.sha256 != null) expect(digest).toBe(better.tensors[at]?.sha256);
    if (fnv1a !== null) expect([a, b].some((one) => one.tensors[at]?.fnv1a === fnv1a)).toBe(true);
  }
});

const small: ModelManifest = { ...bare, tensors: bare.tensors.slice(0, 3), blocks: bare.blocks.slice(0, 3) };
const smallText = manifestText({ ...small, tensors: digested.tensors.slice(0, 3), blocks: digested.blocks.slice(0, 3) });

test.prop([
  fc.nat(smallText.length - 1),
  fc.oneof(fc.string({ maxLength: 4 }), fc.constantFrom("null", "1e309", "-1", "[", "{}", "__proto__")),
  fc.nat(40),
])("a bent one is refused, or says nothing but digests", (at, instead, cut) => {
  const parsed = parseManifest(smallText.slice(0, at) + instead + smallText.slice(at + cut), small);
  if (parsed === null) return;
  const bareOf = ({ parts, tensors, ...rest }: ModelManifest): unknown => ({
    ...rest,
    source: null,
    parts: parts.map((part) => ({ ...part, sha256: null })),
    tensors: tensors.map((tensor) => ({ ...tensor, sha256: null, fnv1a: null })),
    blocks: rest.blocks.length,
  });
  expect(bareOf(parsed)).toEqual(bareOf(small));
  for (const digest of [...parsed.parts, ...parsed.tensors].map((one) => one.sha256).concat(parsed.blocks))
    expect(digest ?? "0".repeat(64)).toMatch(/^[0-9a-f]{64}$/u);
});

test.prop([fc.oneof(fc.string(), fc.json())])("what is no manifest is none", (text) => {
  expect(parseManifest(text, small)).toBeNull();
});

plain("one of another header is none, whatever it has the same", () => {
  expect(parseManifest(smallText, small)).not.toBeNull();
  expect(parseManifest(smallText, bare)).toBeNull();
  expect(parseManifest(smallText, { ...small, contentId: asContentId("ab".repeat(32)) })).toBeNull();
  for (const change of [{ offset: 1 }, { bytes: 1 }, { type: "F32" }, { dims: [1] }, { name: "x" }, { layer: 9 }, { part: 1 }]) {
    const [first, ...rest] = small.tensors;
    if (first === undefined) throw new Error("no tensor");
    expect(
      parseManifest(smallText, { ...small, tensors: [{ ...first, ...change }, ...rest] }),
      JSON.stringify(change),
    ).toBeNull();
  }
});

plain("of a split model every tensor is found in its part, also where the first part has none", async () => {
  const out = join(folder, "split.gguf");
  const words = ["--layers", "2", "--width", "64", "--split", "3", "--split-header"];
  await promisify(execFile)(process.execPath, [MAKE_MODEL, out, ...words]);
  const split = await readModelFile(join(folder, "split-00001-of-00003.gguf"), { signal });
  const store = createManifestStore(join(folder, "split"));
  const kept = await store.of(split, signal);
  const files = await Promise.all(split.parts.map((path) => readFile(path)));
  const manifest = await store.add(split, (now) => now, signal);
  expect(manifest.parts.map(({ bytes }) => bytes)).toEqual(files.map(({ length }) => length));
  expect(new Set(manifest.tensors.map(({ part }) => part))).toEqual(new Set([1, 2]));
  const known = await digestFiles(manifest, {
    paths: split.parts,
    layout: kept.layout,
    expected: files.map(sha256),
    share: 1,
    signal,
  });
  const made = withDigests(manifest, known);
  expect(made.source).toBe("hub");
  for (const { part, offset, bytes, sha256: told } of made.tensors)
    expect(told).toBe(sha256((files[part] ?? Buffer.alloc(0)).subarray(offset, offset + bytes)));
  expect(made.blocks).not.toContain(null);
  // Part by part it becomes the same.
  let grown = manifest;
  for (const part of split.parts.keys()) {
    const options = { paths: split.parts, part, layout: kept.layout, expected: files.map(sha256), share: 1, signal };
    grown = withDigests(grown, await digestFiles(manifest, options));
  }
  expect(grown).toEqual(made);
});

plain("what is known is kept, and is there at the next start; a damaged file is as none", async () => {
  const dir = join(folder, "kept");
  await createManifestStore(dir).add(demo, () => digested, signal);
  const [name = ""] = await readdir(dir);
  expect(name).toBe(`${demo.profile.contentId}.json`);
  expect((await createManifestStore(dir).of(demo, signal)).manifest).toEqual(digested);
  const text = await readFile(join(dir, name), "utf8");
  for (const damage of ["", text.slice(0, -1), text.replace('"offset":', '"offset":1'), "[]"]) {
    await writeFile(join(dir, name), damage);
    expect((await createManifestStore(dir).of(demo, signal)).manifest).toEqual(bare);
  }
});

plain("only so many are kept, those that were used last", async () => {
  const dir = join(folder, "many");
  const store = createManifestStore(dir);
  await store.add(demo, () => digested, signal);
  for (let at = 0; at < MANIFESTS_KEPT_MAX + 3; at++) await writeFile(join(dir, `${at}`.padStart(8, "0")), "x");
  const { mtimeMs } = await stat(join(dir, `${demo.profile.contentId}.json`));
  await store.add(demo, (known) => ({ ...known, source: "hub" }), signal);
  expect(await readdir(dir)).toHaveLength(MANIFESTS_KEPT_MAX);
  expect((await stat(join(dir, `${demo.profile.contentId}.json`))).mtimeMs).toBeGreaterThanOrEqual(mtimeMs);
});
