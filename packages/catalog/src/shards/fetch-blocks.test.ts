import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { ClusterdError } from "@clusterd/wire";
import { afterAll, expect, test } from "vitest";
import { fetchBlocks, type BlockSource, type FetchBlocksOptions } from "./fetch-blocks.ts";
import { openShardFile, type ShardFile } from "./shard-file.ts";
import { bytesOf, layoutOf, type Block } from "./shard-layout.ts";

const LAYERS = 24;
const LAYER_BYTES = 20_000;
const content = randomBytes(64 + LAYERS * LAYER_BYTES);
const layout = layoutOf([
  {
    fileBytes: content.length,
    dataStart: 64,
    tensors: Array.from({ length: LAYERS }, (_, layer) => ({
      name: `blk.${layer}.w`,
      type: 0,
      dimensions: [],
      offset: layer * LAYER_BYTES,
      bytes: LAYER_BYTES,
    })),
  },
]);
const folder = await mkdtemp(join(tmpdir(), "clusterd-fetch-blocks-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
const { signal } = new AbortController();
let folders = 0;
const openOne = (): Promise<ShardFile> =>
  openShardFile({ folder: join(folder, String(folders++)), names: ["m.gguf"], layout, header: async () => content });
const right = ({ position, bytes }: Block): Buffer => Buffer.from(content.subarray(position, position + bytes));
const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

interface Counted extends BlockSource {
  readonly sent: Block[];
}

function source(name: string, changes: Partial<BlockSource> = {}): Counted {
  const sent: Block[] = [];
  return {
    name,
    kind: "member",
    connections: 2,
    has: () => true,
    ...changes,
    sent,
    async read(block, within) {
      sent.push(block);
      await pause(1);
      return changes.read === undefined ? right(block) : changes.read(block, within);
    },
  };
}

async function run(
  sources: readonly BlockSource[],
  changes: Partial<FetchBlocksOptions> = {},
): Promise<{ readonly dropped: readonly string[]; readonly shard: ShardFile; readonly error: unknown }> {
  const shard = changes.shard ?? (await openOne());
  const dropped: string[] = [];
  const error: unknown = await fetchBlocks({
    wanted: layout.blocks,
    sources,
    signal,
    onProgress: () => {},
    onDropped: ({ name }, why) => dropped.push(`${name} ${why}`),
    refreshMs: 20,
    patienceMs: 100,
    ...changes,
    shard,
  }).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  return { dropped, shard, error };
}

test("each block comes once, from those who have it, and is what it must be", async () => {
  const [even, odd, all] = [
    source("even", { has: ({ index }) => index % 2 === 0 }),
    source("odd", { has: ({ index }) => index % 2 === 1 }),
    source("hub", { kind: "hub" }),
  ];
  const progress: number[] = [];
  const { shard, error, dropped } = await run([even, odd, all], { onProgress: (done) => progress.push(done) });
  await using _ = shard;
  expect(error).toBeNull();
  expect(dropped).toEqual([]);
  expect(even.sent.length + odd.sent.length).toBe(LAYERS);
  expect(all.sent).toEqual([]);
  expect(progress.at(-1)).toBe(bytesOf(layout.blocks));
  for (const block of layout.blocks) expect((await shard.read(block)).equals(right(block))).toBe(true);
});

test("who lies is dropped by name at once, who fails after a while; the others do their work", async () => {
  const liar = source("liar", { read: async (block) => randomBytes(block.bytes) });
  const broken = source("broken", {
    read: async () => {
      throw new ClusterdError("failed", "it has hung up");
    },
  });
  const { shard, error, dropped } = await run([liar, broken, source("good", { connections: 1 })], {
    expected: async (block) => sha256(right(block)),
  });
  await using _ = shard;
  expect(error).toBeNull();
  expect(dropped).toContain("liar lied");
  expect(liar.sent.length).toBeLessThanOrEqual(2);
  for (const block of layout.blocks) expect(await shard.verify(block)).toBe(true);
});

test("what nobody has is said, with what is missing; what came is kept, and it goes on from there", async () => {
  const half = source("half", { has: ({ index }) => index < LAYERS / 2 });
  const first = await run([half]);
  expect(first.error).toMatchObject({ code: "shards_unreachable", details: { missingBytes: (LAYERS / 2) * LAYER_BYTES } });
  const rest = source("rest");
  const second = await run([rest], { shard: first.shard });
  await using _ = second.shard;
  expect(second.error).toBeNull();
  expect(rest.sent.length).toBe(LAYERS / 2);
});

test("stopped, it stops, and keeps what came", async () => {
  const stop = new AbortController();
  const slow = source("slow", {
    connections: 1,
    read: async (block, within) => {
      if (slow.sent.length === 5) stop.abort();
      within.throwIfAborted();
      return right(block);
    },
  });
  const { error, shard } = await run([slow], { signal: stop.signal });
  await using _ = shard;
  expect(error).not.toBeNull();
  expect(layout.blocks.filter((block) => shard.has(block)).length).toBe(4);
});

test("nodes that want the same from one hub move it once over its link, and the rest among themselves", async () => {
  const NODES = 3;
  const shards = await Promise.all(Array.from({ length: NODES }, openOne));
  const hubs = shards.map(() => source("hub", { kind: "hub", connections: 2 }));
  const results = await Promise.all(
    shards.map((shard, node) => {
      // What the others have grows while they fetch.
      const others = shards.flatMap((other, at) =>
        at === node
          ? []
          : [
              source(`node ${at}`, {
                has: (block) => other.has(block),
                read: (block) => other.read(block),
                refresh: async () => {},
              }),
            ],
      );
      const isOurs = ({ index }: Block): boolean => index % NODES === node;
      return run([...others, hubs[node] ?? source("none")], { shard, isOurs, patienceMs: 5_000 });
    }),
  );
  expect(results.map(({ error }) => error)).toEqual([null, null, null]);
  expect(hubs.reduce((sum, { sent }) => sum + sent.length, 0)).toBe(LAYERS);
  for (const { shard } of results) {
    for (const block of layout.blocks) expect(await shard.verify(block)).toBe(true);
    await shard[Symbol.asyncDispose]();
  }
});

test("another node's share is not waited for beyond patience", async () => {
  const hub = source("hub", { kind: "hub" });
  const idle = source("idle", { has: () => false, refresh: async () => {} });
  const { error, shard } = await run([idle, hub], { isOurs: ({ index }) => index < 4, patienceMs: 50 });
  await using _ = shard;
  expect(error).toBeNull();
  expect(hub.sent.length).toBe(LAYERS);
});

test("several nodes that fetch one model from one member move it once over its link", async () => {
  const NODES = 3;
  const shards = await Promise.all(Array.from({ length: NODES }, openOne));
  const holders = shards.map(() => source("holder", { isShared: () => true }));
  const results = await Promise.all(
    shards.map((shard, node) => {
      const others = shards.flatMap((other, at) =>
        at === node
          ? []
          : [
              source(`node ${at}`, {
                has: (block) => other.has(block),
                read: (block) => other.read(block),
                refresh: async () => {},
              }),
            ],
      );
      const isOurs = ({ index }: Block): boolean => index % NODES === node;
      return run([...others, holders[node] ?? source("none")], { shard, isOurs, patienceMs: 5_000 });
    }),
  );
  expect(results.map(({ error }) => error)).toEqual([null, null, null]);
  expect(holders.reduce((sum, { sent }) => sum + sent.length, 0)).toBe(LAYERS);
  for (const { shard } of results) {
    for (const block of layout.blocks) expect(await shard.verify(block)).toBe(true);
    await shard[Symbol.asyncDispose]();
  }
});

test("who comes to have it while it is fetched is asked as well; where nobody may come to have it, that is said", async () => {
  const half = source("half", { has: ({ index }) => index < LAYERS / 2, refresh: async () => {} });
  const late = source("late");
  let asked = 0;
  const first = await run([half], { newcomers: () => (++asked === 3 ? [late] : []) });
  await using _ = first.shard;
  expect(first.error).toBeNull();
  expect(late.sent.length).toBe(LAYERS / 2);
  const never = source("half", { has: ({ index }) => index < LAYERS / 2, refresh: async () => {}, mayGrow: () => false });
  const second = await run([never]);
  await using __ = second.shard;
  expect(second.error).toMatchObject({ code: "shards_unreachable" });
});

test("a source that hangs costs no more than the patience with it: what it was at is brought by another, each block once more at most", async () => {
  const stuck = source("stuck", {
    has: ({ index }) => index < 12,
    read: (_block, within) => new Promise((_, reject) => within.addEventListener("abort", () => reject(within.reason))),
  });
  const quick = source("quick");
  const { shard, error, dropped } = await run([stuck, quick], { lateMs: 50 });
  await using _ = shard;
  expect(error).toBeNull();
  expect(dropped).toEqual([]);
  expect(stuck.sent.length).toBe(2);
  expect(quick.sent.length).toBe(LAYERS);
  for (const block of layout.blocks) expect(await shard.verify(block)).toBe(true);
  // The control: who has time is not asked twice.
  const [one, other] = [source("one"), source("other")];
  const again = await run([one, other], { lateMs: 10_000 });
  await again.shard[Symbol.asyncDispose]();
  expect(again.error).toBeNull();
  expect(one.sent.length + other.sent.length).toBe(LAYERS);
});

test("however many sources there are, so many blocks are in memory and no more", async () => {
  let open = 0;
  let most = 0;
  const sources = Array.from({ length: 5 }, (_, index) =>
    source(`source ${index}`, {
      connections: 8,
      async read(block) {
        most = Math.max(most, (open += 1));
        await pause(2);
        open -= 1;
        return right(block);
      },
    }),
  );
  const { shard, error } = await run(sources);
  await using _ = shard;
  expect(error).toBeNull();
  expect(most).toBeGreaterThan(5);
  expect(most).toBeLessThanOrEqual(16);
});

test("a connection that breaks under several blocks is one failure, not several", async () => {
  let broken = 0;
  const flaky = source("flaky", {
    connections: 6,
    async read(block) {
      if (broken < 6) {
        broken += 1;
        throw new ClusterdError("failed", "it broke off");
      }
      return right(block);
    },
  });
  const { shard, error, dropped } = await run([flaky]);
  await using _ = shard;
  expect(error).toBeNull();
  expect(dropped).toEqual([]);
});
