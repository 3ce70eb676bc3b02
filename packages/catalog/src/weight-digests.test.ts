import { copyFile, mkdtemp, open, readdir, readFile, rm, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readModelFile, type ModelFile } from "./read-model.ts";
import { createWeightDigests, type GroupDigest } from "./weight-digests.ts";
import { groupOf, namesOf, readWeightTable, type WeightGroup, type WeightTable } from "./weight-table.ts";

const DEMO = resolve(import.meta.dirname, "../../../models/demo-16l-q8_0.gguf");
const GROUPS: readonly WeightGroup[] = [...Array.from({ length: 16 }, (_, layer) => layer), null];
const { signal } = new AbortController();

let folder = "";
let path = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-digests-"));
  path = join(folder, "copy.gguf");
  await copyFile(DEMO, path);
});
afterEach(() => rm(folder, { recursive: true }));

async function opened(): Promise<{ readonly file: ModelFile; readonly table: WeightTable }> {
  const file = await readModelFile(path, { signal });
  return { file, table: await readWeightTable(file, signal) };
}
async function digests(groups: readonly WeightGroup[] = GROUPS): Promise<readonly GroupDigest[]> {
  return createWeightDigests({ ...(await opened()), cacheDir: join(folder, "cache") }).of(groups, signal);
}
async function overwrite(name: string, bytes: Uint8Array): Promise<void> {
  const place = (await opened()).table.get(name);
  await using handle = await open(path, "r+");
  await handle.write(bytes, 0, bytes.length, place?.position);
}

describe("where the tensors are", () => {
  test("adds up to what the profile says", async () => {
    const { file, table } = await opened();
    const bytesOf = (names: readonly string[]): number => names.reduce((sum, name) => sum + (table.get(name)?.bytes ?? NaN), 0);
    for (const [layer, { weightBytes }] of file.profile.layers.entries())
      expect(bytesOf(namesOf(table, layer))).toBe(weightBytes);
    const all = [...table.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    expect(all).toBeLessThan(file.profile.fileBytes);
    expect(Math.max(...[...table.values()].map(({ position, bytes }) => position + bytes))).toBeLessThanOrEqual(
      file.profile.fileBytes,
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
    const original = await readModelFile(DEMO, { signal });
    const table = await readWeightTable(original, signal);
    const own = await createWeightDigests({ file: original, table, cacheDir: join(folder, "other") }).of(GROUPS, signal);
    expect(await digests()).toEqual(own);
    expect(new Set(own).size).toBe(GROUPS.length);
  });

  test("of one flipped bit differ in its layer alone", async () => {
    const before = await digests();
    const { table } = await opened();
    const place = table.get("blk.7.ffn_down.weight");
    await using handle = await open(path, "r+");
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, (place?.position ?? 0) + (place?.bytes ?? 0) - 1);
    byte[0] = (byte[0] ?? 0) ^ 1;
    await overwriteLast("blk.7.ffn_down.weight", byte);
    const after = await digests();
    expect(after.flatMap((digest, index) => (digest === before[index] ? [] : [index]))).toEqual([7]);
  });

  async function overwriteLast(name: string, byte: Buffer): Promise<void> {
    const place = (await opened()).table.get(name);
    await using handle = await open(path, "r+");
    await handle.write(byte, 0, 1, (place?.position ?? 0) + (place?.bytes ?? 0) - 1);
  }

  test("of a hole are none, of half a hole they are others", async () => {
    const before = await digests();
    const { table } = await opened();
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
    const { file, table } = await opened();
    await truncate(path, 4096);
    const cut = createWeightDigests({ file, table, cacheDir: join(folder, "cache") });
    await expect(cut.of([15], signal)).rejects.toMatchObject({ code: "model_broken" });
  });
});
