import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { guardHeader, newContentHash } from "../header-guard.ts";
import { fetchBlocks, type BlockSource } from "./fetch-blocks.ts";
import { openShardFile } from "./shard-file.ts";
import { layoutOf } from "./shard-layout.ts";

const DEMO = fileURLToPath(new URL("../../../../models/demo-16l-q8_0.gguf", import.meta.url));
const { signal } = new AbortController();
const demo = await readFile(DEMO);
const folder = await mkdtemp(join(tmpdir(), "clusterd-full-disk-"));
const disk = join(folder, "disk");
await mkdir(disk);
const mount = (...options: string[]): boolean => {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", options.join(","), "tmpfs", disk], { stdio: "pipe" });
    return true;
  } catch {
    // Only root may.
    return false;
  }
};
const isMounted = mount("size=2m");
afterAll(async () => {
  if (isMounted) execFileSync("umount", ["-l", disk]);
  await rm(folder, { recursive: true, force: true });
});

test.skipIf(!isMounted)(
  "a disk that fills up while blocks come: said, what came stays, and it goes on once there is room",
  async () => {
    const header = await guardHeader(DEMO, newContentHash(), signal);
    const layout = layoutOf([header]);
    const read: number[] = [];
    const source: BlockSource = {
      name: "other",
      kind: "member",
      connections: 1,
      has: () => true,
      async read({ index, position, bytes }) {
        read.push(index);
        return Buffer.from(demo.subarray(position, position + bytes));
      },
    };
    await using shard = await openShardFile({
      folder: join(disk, "shard"),
      names: ["demo.gguf"],
      layout,
      header: async () => demo.subarray(0, header.dataStart),
    });
    const fetchAll = (): Promise<void> =>
      fetchBlocks({ shard, wanted: layout.blocks, sources: [source], signal, onProgress: () => {}, onDropped: () => {} });
    await expect(fetchAll()).rejects.toMatchObject({
      code: "does_not_fit",
      message: expect.stringMatching(/disk is full.*ENOSPC/u) as string,
    });
    const kept = layout.blocks.filter((block) => shard.has(block)).length;
    expect(kept).toBeGreaterThan(0);
    expect(kept).toBeLessThan(layout.blocks.length);
    execFileSync("mount", ["-o", "remount,size=16m", disk]);
    read.length = 0;
    await fetchAll();
    expect(read).toHaveLength(layout.blocks.length - kept);
    for (const block of layout.blocks)
      expect((await shard.read(block)).equals(demo.subarray(block.position, block.position + block.bytes))).toBe(true);
  },
);
