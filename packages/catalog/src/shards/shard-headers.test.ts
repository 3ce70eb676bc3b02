import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { readModelFile } from "../read-model.ts";
import { openShardStore, type ShardStore } from "./shard-store.ts";
import { openWholeFile } from "./whole-file.ts";

const DEMO = fileURLToPath(new URL("../../../../models/demo-16l-q8_0.gguf", import.meta.url));
const { signal } = new AbortController();
const folder = await mkdtemp(join(tmpdir(), "clusterd-headers-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
const demo = await readModelFile(DEMO, { signal, cacheDir: join(folder, "profiles") });
const { contentId } = demo.profile;
const content = await readFile(DEMO);

const openStore = (name: string): Promise<ShardStore> =>
  openShardStore({ dir: join(folder, name), cacheDir: join(folder, "profiles"), signal });
async function flip(path: string, at: number): Promise<void> {
  await using file = await open(path, "r+");
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, at);
  await file.write(Buffer.from([(byte[0] ?? 0) ^ 8]), 0, 1, at);
}

test("a bit that flips in what a model begins with is mended, at the next start and while the node runs", async () => {
  const path = join(folder, "a", contentId, "demo.gguf");
  await using whole = await openWholeFile(demo, signal);
  const source = { names: ["demo.gguf"], partBytes: [content.length], header: (part: number) => whole.header(part) };
  const start = content.subarray(0, whole.layout.parts[0]?.dataStart);
  const isRight = async (): Promise<boolean> => (await readFile(path)).subarray(0, start.length).equals(start);
  {
    await using store = await openStore("a");
    const shard = await store.begin(contentId, source, signal);
    for (const block of shard.layout.blocks.slice(0, 3)) await shard.put(block, await whole.read(block));
    await shard.record();
    // In the first key's name.
    await flip(path, 40);
    expect(await isRight()).toBe(false);
    expect(await shard.check(shard.layout.blocks, signal)).toEqual([]);
    expect(await isRight()).toBe(true);
  }
  await flip(path, start.length - 300);
  {
    await using store = await openStore("a");
    expect(await isRight()).toBe(true);
    expect(store.fileOf(contentId)?.profile.contentId).toBe(contentId);
    const shard = await store.get(contentId);
    expect(shard?.layout.blocks.filter((block) => shard.has(block))).toHaveLength(3);
  }
  // Without what was kept of it, it is not this model's and not listed; begun again it is.
  await rm(join(folder, "a", contentId, "header-0.copy"));
  await flip(path, 40);
  await using store = await openStore("a");
  expect(store.list()).toEqual([]);
  const shard = await store.begin(contentId, source, signal);
  expect(await isRight()).toBe(true);
  expect(shard.layout.blocks.filter((block) => shard.has(block))).toHaveLength(3);
});
