import { copyFile, mkdtemp, open, readdir, readFile, rm, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { readModelFile, type ModelFile } from "./read-model.ts";
import { createWeightDigests, type GroupDigest } from "./weight-digests.ts";
import { groupOf, namesOf, readWeightTable, type WeightGroup, type WeightTable } from "./weight-table.ts";

const DEMO = resolve(import.meta.dirname, "../../../models/demo-16l-q8_0.gguf");
const GROUPS: readonly WeightGroup[] = [...Array.from({ length: 16 }, (_, layer) => layer), null];
const { signal } = new AbortController();

let folder = "";
let path = "";
/** The original's: a copy has its tensors at the same places. */
let profile: ModelFile["profile"];
let table: WeightTable;
beforeAll(async () => {
  const original = await readModelFile(DEMO, { signal });
  profile = original.profile;
  table = await readWeightTable(original, signal);
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-digests-"));
  path = join(folder, "copy.gguf");
  await copyFile(DEMO, path);
});
afterEach(() => rm(folder, { recursive: true }));

const copied = (): ModelFile => ({ profile, path, parts: [path] });
function digests(groups: readonly WeightGroup[] = GROUPS): Promise<readonly GroupDigest[]> {
  return createWeightDigests({ file: copied(), table, cacheDir: join(folder, "cache") }).of(groups, signal);
}
/** Writes into a tensor, `at` bytes behind its beginning. */
async function overwrite(name: string, bytes: Uint8Array, at = 0): Promise<void> {
  await using handle = await open(path, "r+");
  await handle.write(bytes, 0, bytes.length, (table.get(name)?.position ?? 0) + at);
}

describe("where the tensors are", () => {
  test("adds up to what the profile says", () => {
    const bytesOf = (names: readonly string[]): number => names.reduce((sum, name) => sum + (table.get(name)?.bytes ?? NaN), 0);
    for (const [layer, { weightBytes }] of profile.layers.entries()) expect(bytesOf(namesOf(table, layer))).toBe(weightBytes);
    const all = [...table.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    expect(all).toBeLessThan(profile.fileBytes);
    expect(Math.max(...[...table.values()].map(({ position, bytes }) => position + bytes))).toBeLessThanOrEqual(
      profile.fileBytes,
    );
    expect(namesOf(table, null)).toEqual(["output_norm.weight"]);
  });

  test.each([
    ["blk.0.attn_q.weight", 0],
    ["blk.117.ffn_up.weight", 117],
    ["output_norm.weight", null],
    ["blkk.1.w", null],
  ])("%s belongs to %s", (name, group) => {
    expect(groupOf(name)).toBe(group);
  });
});

describe("digests", () => {
  test("of a copy are those of the original, layer by layer", async () => {
    const file = { ...copied(), path: DEMO, parts: [DEMO] };
    const own = await createWeightDigests({ file, table, cacheDir: join(folder, "other") }).of(GROUPS, signal);
    expect(await digests()).toEqual(own);
    expect(new Set(own).size).toBe(GROUPS.length);
  });

  test("of one flipped bit differ in its layer alone", async () => {
    const before = await digests();
    const name = "blk.7.ffn_down.weight";
    const { position = 0, bytes = 0 } = table.get(name) ?? {};
    const last = (await readFile(path))[position + bytes - 1] ?? 0;
    await overwrite(name, Buffer.of(last ^ 1), bytes - 1);
    const after = await digests();
    expect(after.flatMap((digest, index) => (digest === before[index] ? [] : [index]))).toEqual([7]);
  });

  test("of a hole are none, of half a hole they are others", async () => {
    const before = await digests();
    for (const name of namesOf(table, 3)) await overwrite(name, Buffer.alloc(table.get(name)?.bytes ?? 0));
    const half = namesOf(table, 5).at(-1) ?? "";
    await overwrite(half, Buffer.alloc(table.get(half)?.bytes ?? 0));
    const after = await digests();
    expect(after[3]).toBeNull();
    expect(after[5]).toMatch(/^[0-9a-f]{64}$/);
    expect(after.flatMap((digest, index) => (digest === before[index] ? [] : [index]))).toEqual([3, 5]);
  });

  test("are kept as long as the file is the same", async () => {
    const first = await digests([0, 1]);
    expect(await readdir(join(folder, "cache"))).toHaveLength(1);
    const [kept = ""] = await readdir(join(folder, "cache"));
    const text = await readFile(join(folder, "cache", kept), "utf8");
    const other = "0".repeat(64);
    await writeFile(join(folder, "cache", kept), text.replace(first[1] ?? "", other));
    expect(await digests([1, 0])).toEqual([other, first[0]]);
    await overwrite("blk.0.attn_norm.weight", Buffer.alloc(4, 9));
    await utimes(path, new Date(), new Date());
    expect((await digests([0, 1]))[0]).not.toBe(first[0]);
  });

  test("of a file that was cut meanwhile are refused", async () => {
    const file = copied();
    await truncate(path, 4096);
    const cut = createWeightDigests({ file, table, cacheDir: join(folder, "cache") });
    await expect(cut.of([15], signal)).rejects.toMatchObject({ code: "model_broken" });
  });
});
