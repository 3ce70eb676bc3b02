import { mkdir, mkdtemp, readFile, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { asContentId } from "@clusterd/wire";
import { afterAll, expect, test } from "vitest";
import { beginSettling, settle } from "./settle-shard.ts";
import { openShardStore } from "./shard-store.ts";

const home = await mkdtemp(join(tmpdir(), "clusterd-settle-"));
afterAll(() => rm(home, { recursive: true, force: true }));
const { signal } = new AbortController();
const NAMES = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"];

let count = 0;
/** A folder of shards in a models folder, with two parts in it. */
async function begun(): Promise<{
  readonly models: string;
  readonly shards: string;
  readonly folder: string;
  readonly targets: string[];
}> {
  const models = join(home, String(count++), "models");
  const shards = join(models, ".shards");
  const folder = join(shards, asContentId("abcdef0123456789"));
  await mkdir(folder, { recursive: true });
  for (const name of [...NAMES, "blocks.json"]) await writeFile(join(folder, name), name);
  return { models, shards, folder, targets: NAMES.map((name) => join(models, "o", "r", name)) };
}
const inPlace = async (targets: readonly string[]): Promise<void> => {
  for (const [part, target] of targets.entries()) expect(await readFile(target, "utf8")).toBe(NAMES[part]);
};

test("the parts get their names without a copy, and the folder is gone", async () => {
  const { folder, targets } = await begun();
  const { ino } = await stat(join(folder, NAMES[0] ?? ""));
  await beginSettling(folder, { id: "o/r:Q8_0", names: NAMES, targets });
  expect(await settle(folder)).toEqual({ path: targets[0], id: "o/r:Q8_0" });
  await inPlace(targets);
  expect((await stat(targets[0] ?? "")).ino).toBe(ino);
  await expect(stat(folder)).rejects.toThrow(/ENOENT/u);
  expect(await settle(folder)).toBeNull();
});

test("killed between two parts, the next start goes on from there", async () => {
  const { shards, folder, targets } = await begun();
  await beginSettling(folder, { id: null, names: NAMES, targets });
  await mkdir(join(targets[0] ?? "", ".."), { recursive: true });
  await rename(join(folder, NAMES[0] ?? ""), targets[0] ?? "");
  await using store = await openShardStore({ dir: shards, cacheDir: join(home, "profiles"), signal });
  expect(store.settled).toEqual([{ path: targets[0], id: null }]);
  await inPlace(targets);
  expect(await readdir(shards)).toEqual([]);
});

test("what is there already is not overwritten, and nothing leaves the models folder", async () => {
  const { models, folder, targets } = await begun();
  await mkdir(join(models, "o", "r"), { recursive: true });
  await writeFile(targets[1] ?? "", "mine");
  await expect(beginSettling(folder, { id: null, names: NAMES, targets })).rejects.toMatchObject({ code: "invalid_request" });
  expect(await readdir(folder)).toEqual(expect.arrayContaining(NAMES));
  const records = [
    { id: null, names: NAMES, targets: ["../../../a", "../../../b"] },
    { id: null, names: ["../../../etc", NAMES[1]], targets: ["../x", "../y"] },
    { id: null, names: NAMES, targets: ["other/x", "../y"] },
    { id: 5, names: NAMES, targets: ["../x", "../y"] },
    { id: null, names: NAMES, targets: ["../x"] },
  ];
  for (const record of records) {
    await writeFile(join(folder, "settling.json"), JSON.stringify(record));
    expect(await settle(folder), JSON.stringify(record)).toBeNull();
  }
  expect(await readdir(folder)).toEqual(expect.arrayContaining(NAMES));
});
