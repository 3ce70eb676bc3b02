import { randomBytes } from "node:crypto";
import { mkdtemp, open, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fc, test } from "@fast-check/vitest";
import { afterAll, expect, test as plain } from "vitest";
import { guardHeader, newContentHash, type GuardedHeader } from "../header-guard.ts";
import { readModelFile } from "../read-model.ts";
import { createBlockMap, parseBlockMap } from "./block-map.ts";
import { TRUST_MS } from "./block-trust.ts";
import { openShardFile, WrongBytes, type ShardFile } from "./shard-file.ts";
import { blocksFor, bytesOf, layoutOf, BLOCK_BYTES } from "./shard-layout.ts";

const DEMO = fileURLToPath(new URL("../../../../models/demo-16l-q8_0.gguf", import.meta.url));
const demo = await readFile(DEMO);
const { signal } = new AbortController();
const folder = await mkdtemp(join(tmpdir(), "clusterd-shards-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
let folders = 0;

const header: GuardedHeader = await guardHeader(DEMO, newContentHash(), signal);
const layout = layoutOf([header]);

const tensor = fc.record({
  group: fc.constantFrom("blk.0.x", "blk.1.x", "blk.2.y", "output_norm.weight", "token_embd.weight"),
  bytes: fc.integer({ min: 1, max: 3 * BLOCK_BYTES }),
  gap: fc.nat(31),
});

plain("the head takes the layers for later tokens as well, and no stage does", () => {
  const names = ["token_embd", "blk.0.attn_q", "blk.1.attn_q", "blk.2.attn_q", "blk.2.nextn.eh_proj", "output_norm", "output"];
  const tensors = names.map((name, at) => ({ name: `${name}.weight`, type: 0, dimensions: [], offset: at * 64, bytes: 64 }));
  const made = layoutOf([{ fileBytes: 64 + names.length * 64, dataStart: 64, tensors }]);
  const groups = (firstLayer: number, lastLayer: number, isHead: boolean): unknown[] =>
    blocksFor(made, { firstLayer, lastLayer, isHead }).map(({ group }) => group);
  expect(groups(0, 1, false)).toEqual([0, 1, null]);
  expect(groups(0, 0, true)).toEqual(["head", 0, 2, null, "head"]);
  expect(groups(0, -1, true)).toEqual(["head", 2, null, "head"]);
});

test.prop([fc.array(tensor, { minLength: 1, maxLength: 12 }), fc.nat(100), fc.nat(2), fc.nat(2)])(
  "blocks are all the bytes behind the header, once each; a place has its own groups' and no other's",
  (given, tail, a, b) => {
    const dataStart = 64;
    let offset = 0;
    const tensors = given.map(({ group, bytes, gap }, index) => {
      const at = offset;
      offset += bytes + gap;
      return { name: group === "token_embd.weight" ? group : `${group}.${index}`, type: 0, dimensions: [], offset: at, bytes };
    });
    const made = layoutOf([{ fileBytes: dataStart + offset + tail, dataStart, tensors }]);
    let at = dataStart;
    for (const block of made.blocks) {
      expect(block.position).toBe(at);
      expect(block.bytes).toBeGreaterThan(0);
      expect(block.bytes).toBeLessThanOrEqual(BLOCK_BYTES);
      at += block.bytes;
    }
    expect(at).toBe(dataStart + offset + tail);
    // Every tensor lies in blocks of its own group alone.
    for (const { name, offset: from, bytes } of tensors) {
      const over = made.blocks.filter(
        (block) => block.position < dataStart + from + bytes && block.position + block.bytes > dataStart + from,
      );
      const group = name.startsWith("blk.") ? Number(name[4]) : name === "token_embd.weight" ? "head" : null;
      expect(over.every((block) => block.group === group)).toBe(true);
    }
    const [firstLayer, lastLayer] = [Math.min(a, b), Math.max(a, b)];
    const own = new Set(blocksFor(made, { firstLayer, lastLayer, isHead: false }));
    for (const block of made.blocks) {
      const { group } = block;
      const wanted = group === null || (group !== "head" && group >= firstLayer && group <= lastLayer);
      expect(own.has(block)).toBe(wanted);
    }
  },
);

test.prop([fc.integer({ min: 1, max: 200 }), fc.array(fc.nat(199)), fc.string()])(
  "a map reads back the same, and nothing else is taken for one",
  (count, blocks, other) => {
    const map = createBlockMap(count);
    const there = new Set(blocks.filter((block) => block < count));
    for (const block of there) map.add(block, randomBytes(32).toString("hex"));
    const again = parseBlockMap(JSON.parse(JSON.stringify(map.json())), count);
    for (let block = 0; block < count; block++) {
      expect(again?.has(block)).toBe(there.has(block));
      expect(again?.digest(block)).toBe(map.digest(block));
    }
    expect(parseBlockMap(map.json(), count + 1)).toBeNull();
    // As many bits as there are blocks are a map, whoever wrote them.
    if (Buffer.from(other, "base64").length !== Math.ceil(count / 8))
      expect(parseBlockMap({ ...map.json(), present: other }, count)).toBeNull();
    expect(parseBlockMap(other, count)).toBeNull();
  },
);

const openOne = (name = String(folders++)): Promise<ShardFile> =>
  openShardFile({ folder: join(folder, name), names: ["demo.gguf"], layout, header: async () => demo });

const wish = blocksFor(layout, { firstLayer: 4, lastLayer: 6, isHead: false });
const bytesIn = (block: { readonly position: number; readonly bytes: number }): Buffer =>
  Buffer.from(demo.subarray(block.position, block.position + block.bytes));

plain("the demo model's layers are all in the layout; a worker's part is its layers' share", () => {
  expect(bytesOf(layout.blocks)).toBe(demo.length - header.dataStart);
  expect(new Set(layout.blocks.map(({ group }) => group))).toEqual(
    new Set(["head", null, ...Array.from({ length: 16 }, (_, layer) => layer)]),
  );
  expect(bytesOf(wish) / bytesOf(layout.blocks)).toBeLessThan(3 / 16);
});

plain("a shard is a file of full length that takes room for its own blocks alone, and is the same model", async () => {
  const name = String(folders++);
  {
    await using shard = await openOne(name);
    for (const block of wish) await shard.put(block, bytesIn(block));
    const [path = ""] = shard.paths;
    const { size, blocks } = await stat(path);
    expect(size).toBe(demo.length);
    expect(blocks * 512).toBeLessThan(bytesOf(wish) + header.dataStart + 64 * 1024);
    const [whole, part] = [await readModelFile(DEMO, { signal }), await readModelFile(path, { signal })];
    expect(part.profile.contentId).toBe(whole.profile.contentId);
  }
  await using again = await openOne(name);
  for (const block of layout.blocks) expect(again.has(block)).toBe(wish.includes(block));
  for (const block of wish) expect((await again.read(block)).equals(bytesIn(block))).toBe(true);
});

plain("wrong bytes are not taken: neither another length, nor another content than is known", async () => {
  await using shard = await openOne();
  const [block] = wish;
  if (block === undefined) throw new Error("no block");
  const right = bytesIn(block);
  await expect(shard.put(block, right.subarray(1))).rejects.toThrow(WrongBytes);
  {
    await using other = await openOne();
    await other.put(block, right);
    shard.expect(block, other.digest(block) ?? "");
  }
  const wrong = Buffer.from(right);
  wrong[7] = (wrong[7] ?? 0) ^ 1;
  await expect(shard.put(block, wrong)).rejects.toThrow(WrongBytes);
  expect(shard.has(block)).toBe(false);
  expect(() => shard.expect(block, "00".repeat(32))).toThrow(/two different/u);
  await shard.put(block, right);
  expect(shard.has(block)).toBe(true);
});

plain("a bit that flips on the disk is found, and the block fetched anew", async () => {
  await using shard = await openOne();
  for (const block of wish) await shard.put(block, bytesIn(block));
  const [hit, ...others] = wish;
  const [path = ""] = shard.paths;
  if (hit === undefined) throw new Error("no block");
  {
    await using file = await open(path, "r+");
    const byte = Buffer.from([(demo[hit.position + 99] ?? 0) ^ 4]);
    await file.write(byte, 0, 1, hit.position + 99);
  }
  for (const block of wish) expect(await shard.verify(block)).toBe(block !== hit);
  expect(shard.has(hit)).toBe(false);
  expect(others.every((block) => shard.has(block))).toBe(true);
  await shard.put(hit, bytesIn(hit));
  expect(await shard.verify(hit)).toBe(true);
});

plain("what is dropped gives its room back, is not said to be there, and can come again", async () => {
  const name = String(folders++);
  {
    await using shard = await openOne(name);
    for (const block of layout.blocks) await shard.put(block, bytesIn(block));
    const [path = ""] = shard.paths;
    const before = (await stat(path)).blocks;
    const gone = layout.blocks.filter((block) => !wish.includes(block));
    await shard.drop(gone);
    if (process.platform === "linux") expect((await stat(path)).blocks).toBeLessThan(before / 2);
    expect(gone.some((block) => shard.has(block))).toBe(false);
  }
  await using again = await openOne(name);
  for (const block of wish) expect(await again.verify(block)).toBe(true);
  const first = layout.blocks.find((block) => !wish.includes(block));
  if (first === undefined) throw new Error("no block");
  await again.put(first, bytesIn(first));
  expect(await again.verify(first)).toBe(true);
});

plain("a record without its file, or a damaged one, is no record", async () => {
  const name = String(folders++);
  const record = join(folder, name, "blocks.json");
  for (const damage of ["", "{", JSON.stringify({ count: 1, present: "AA==", digests: "" })]) {
    {
      await using shard = await openOne(name);
      for (const block of wish) await shard.put(block, bytesIn(block));
    }
    await writeFile(record, damage);
    await using again = await openOne(name);
    expect(wish.some((block) => again.has(block))).toBe(false);
  }
  {
    await using shard = await openOne(name);
    for (const block of wish) await shard.put(block, bytesIn(block));
  }
  await rm(join(folder, name, "demo.gguf"));
  await using again = await openOne(name);
  expect(wish.some((block) => again.has(block))).toBe(false);
});

plain("where the system cannot punch holes the file is written anew with what is kept, also while it is read", async () => {
  const name = String(folders++);
  const punch = async (): Promise<boolean> => false;
  {
    await using shard = await openShardFile({
      ...{ folder: join(folder, name), names: ["demo.gguf"], layout, header: async () => demo },
      punch,
    });
    for (const block of layout.blocks) await shard.put(block, bytesIn(block));
    const [path = ""] = shard.paths;
    const before = (await stat(path)).blocks;
    const gone = layout.blocks.filter((block) => !wish.includes(block));
    const [late] = gone;
    if (late === undefined) throw new Error("no block");
    const dropping = shard.drop(gone);
    // What is put meanwhile must not be lost with the old file.
    const reads = wish.map(async (block) => (await shard.read(block)).equals(bytesIn(block)));
    await Promise.all([dropping, shard.put(late, bytesIn(late))]);
    expect((await Promise.all(reads)).every(Boolean)).toBe(true);
    if (process.platform === "linux") expect((await stat(path)).blocks).toBeLessThan(before / 2);
    expect((await stat(path)).size).toBe(demo.length);
    for (const block of [...wish, late]) expect(await shard.isRight(block)).toBe(true);
    expect((await shard.header(0)).equals(demo.subarray(0, header.dataStart))).toBe(true);
  }
  await using again = await openOne(name);
  for (const block of wish) expect(await again.verify(block)).toBe(true);
});

/** Changes a byte of a file behind its owner's back, and its date with it, as any program would. */
async function changeByte(path: string, at: number): Promise<void> {
  await using file = await open(path, "r+");
  await file.write(Buffer.from([(demo[at] ?? 0) ^ 4]), 0, 1, at);
}

plain("blocks are read again once somebody else has written to the file, or a week has passed, and only then", async () => {
  const name = String(folders++);
  let nowMs = 1_000_000;
  const damaged: number[] = [];
  const openAt = (): Promise<ShardFile> =>
    openShardFile({
      ...{ folder: join(folder, name), names: ["demo.gguf"], layout, header: async () => demo, now: () => nowMs },
      onDamaged: (block) => damaged.push(block.index),
    });
  const [hit, second, ...rest] = wish;
  if (hit === undefined || second === undefined) throw new Error("no block");
  {
    await using shard = await openAt();
    for (const block of wish) await shard.put(block, bytesIn(block));
    expect(await shard.check(wish, signal)).toEqual([]);
    await changeByte(shard.paths[0] ?? "", hit.position + 5);
    // Who asks for others does not learn of it; who reads it does, and is not given it.
    expect(await shard.check(rest, signal)).toEqual([]);
    await expect(shard.read(hit)).rejects.toThrow("not here any more");
    expect([shard.has(hit), damaged]).toEqual([false, [hit.index]]);
    await shard.put(hit, bytesIn(hit));
    expect(await shard.check(wish, signal)).toEqual([]);
    // A write of our own in between does not hide one of somebody else's.
    await changeByte(shard.paths[0] ?? "", second.position + 5);
    await shard.put(hit, bytesIn(hit));
  }
  {
    await using shard = await openAt();
    expect(await shard.check(wish, signal)).toEqual([second]);
    await shard.put(second, bytesIn(second));
  }
  // Under an old date it is not seen …
  const path = join(folder, name, "demo.gguf");
  const dated = new Date(1_700_000_000_000);
  await utimes(path, dated, dated);
  {
    await using shard = await openAt();
    expect(await shard.check(wish, signal)).toEqual([]);
    await changeByte(path, hit.position + 5);
    await utimes(path, dated, dated);
    expect(await shard.check(wish, signal)).toEqual([]);
  }
  // … until a week has passed, or it is looked for.
  nowMs += TRUST_MS + 1;
  await using later = await openAt();
  expect(await later.check(wish, signal)).toEqual([hit]);
});
