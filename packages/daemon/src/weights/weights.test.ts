import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { blockDigest, blocksFor, openShardStore, openWholeFile, type HeldModel, type ShardStore } from "@clusterd/catalog";
import { readModelFile } from "@clusterd/catalog";
import { asContentId } from "@clusterd/wire";
import { afterAll, afterEach, expect, test } from "vitest";
import { BUNDLED_MODELS } from "../offline/bundled-models.ts";
import { memberWeights, type MemberWeights } from "./member-weights.ts";
import { serveWeights } from "./serve-weights.ts";

const { signal } = new AbortController();
const file = await readModelFile(BUNDLED_MODELS[0]?.path ?? "", { signal });
const content = await readFile(file.path);
const whole = await openWholeFile(file, signal);
const folder = await mkdtemp(join(tmpdir(), "clusterd-weights-"));
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});
afterAll(async () => {
  await whole[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** A member whose connections `answer` takes. */
async function memberWith(answer: (socket: Socket) => void): Promise<{ member: MemberWeights; open: Set<Socket> }> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    answer(socket);
  });
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const member = memberWeights("mini-2", async () => {
    const socket = connect({ host: "127.0.0.1", port });
    await once(socket, "connect");
    return socket;
  });
  return { member, open };
}

const served = (model: HeldModel): ReturnType<typeof memberWith> => memberWith((socket) => void serveWeights(socket, model));

let stores = 0;
const newStore = (): Promise<ShardStore> =>
  openShardStore({ dir: join(folder, String(stores++)), cacheDir: join(folder, "profiles"), signal });

test("a member's blocks, headers and digests are those of its file, several at once", async () => {
  const { member } = await served(whole);
  await using _ = member;
  const { names, partBytes, header } = await member.headers(signal);
  expect([names, partBytes]).toEqual([whole.names, [content.length]]);
  const start = await header(0);
  expect(start.equals(content.subarray(0, start.length))).toBe(true);
  const blocks = whole.layout.blocks.slice(0, 12);
  const got = await Promise.all(blocks.map((block) => member.source.read(block, signal)));
  for (const [at, block] of blocks.entries()) {
    expect(got[at]?.equals(content.subarray(block.position, block.position + block.bytes))).toBe(true);
    expect(await member.digest(block, signal)).toBe(blockDigest(got[at] ?? Buffer.alloc(0)));
    expect(member.has(block)).toBe(true);
  }
});

test("a part of a model begins with the right header only, and tells others what it has and no more", async () => {
  const { contentId } = file.profile;
  await using store = await newStore();
  const { member } = await served(whole);
  await using _ = member;
  const headers = await member.headers(signal);
  const bent = {
    ...headers,
    async header(part: number): Promise<Buffer> {
      const bytes = Buffer.from(await headers.header(part));
      // A letter of the model's name.
      const at = bytes.indexOf("general.name") + 30;
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      return bytes;
    },
  };
  await expect(store.begin(contentId, bent, signal)).rejects.toMatchObject({ code: "model_broken" });
  await expect(store.begin(contentId, { ...headers, names: ["../x.gguf"] }, signal)).rejects.toMatchObject({
    code: "model_broken",
  });
  await expect(store.begin(asContentId("../up"), headers, signal)).rejects.toMatchObject({ code: "model_broken" });
  expect(store.fileOf(contentId)).toBeNull();

  const shard = await store.begin(contentId, headers, signal);
  expect(store.fileOf(contentId)?.profile.contentId).toBe(contentId);
  const [block, other] = blocksFor(shard.layout, { firstLayer: 3, lastLayer: 4, isHead: false });
  if (block === undefined || other === undefined) throw new Error("no blocks");
  await shard.put(block, await member.source.read(block, signal));
  const { member: second } = await served(shard);
  await using __ = second;
  await second.refresh(signal);
  expect([second.has(block), second.has(other)]).toEqual([true, false]);
  expect((await second.source.read(block, signal)).equals(await whole.read(block))).toBe(true);
  await expect(second.source.read(other, signal)).rejects.toThrow(/does not have/u);
  expect(await second.digest(other, signal)).toBeNull();
});

const HOSTILE: readonly (readonly [string, (socket: Socket) => void])[] = [
  ["says nothing and goes", (socket) => socket.end()],
  ["sends no line", (socket) => socket.end("x".repeat(100_000))],
  ["promises more than any answer may have", (socket) => socket.end('{"bytes":99999999999}\n')],
  ["breaks off in the middle", (socket) => socket.end('{"bytes":1000}\nabc')],
  ["sends what is no answer", (socket) => socket.end('{"bytes":-1}\n')],
  ["sends a slice that is longer than its answer", (socket) => socket.end('{"bytes":3}\n{"plain":4,"sent":4}\nabcd')],
  ["sends a slice of more bytes than it has", (socket) => socket.end('{"bytes":3}\n{"plain":3,"sent":4}\nabcd')],
  ["sends a slice of nothing", (socket) => socket.end('{"bytes":3}\n{"plain":0,"sent":0}\n')],
  ["sends a slice that cannot be unpacked", (socket) => socket.end('{"bytes":9}\n{"plain":9,"sent":3}\nabc')],
];

test.each(HOSTILE)("a member that %s is an error, and nothing hangs", async (_, answer) => {
  const { member } = await memberWith((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => answer(socket));
  });
  await using __ = member;
  await expect(member.headers(signal)).rejects.toThrow();
});

test.each(['{"want":"block","index":99999999}\n', '{"want":"header","index":7}\n'])(
  "what is not there is said to be missing (%#)",
  async (ask) => {
    const { open } = await served(whole);
    expect(open.size).toBe(0);
    const socket = connect({ host: "127.0.0.1", port: port() });
    socket.write(ask);
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect(answer.toString()).toBe('{"missing":true}\n');
    socket.destroy();
  },
);

const port = (): number => (servers.at(-1)?.address() as AddressInfo | undefined)?.port ?? 0;

test.each(["{}\n", '{"want":"block","index":-1}\n', '{"want":"file","index":0}\n', `${"x".repeat(4_000)}\n`, "\n"])(
  "an ask that is none ends the connection (%#)",
  async (ask) => {
    await served(whole);
    const socket = connect({ host: "127.0.0.1", port: port() });
    const closed = once(socket, "close");
    let bytes = 0;
    socket.on("data", (chunk: Buffer) => (bytes += chunk.length)).on("error", () => {});
    socket.write(ask);
    await closed;
    expect(bytes).toBe(0);
  },
);

test("blocks come packed where that makes them smaller, and are what they were; asked so, they come as they are", async () => {
  const block = whole.layout.blocks.reduce((most, one) => (one.bytes > most.bytes ? one : most));
  const weights = Buffer.alloc(block.bytes, "weights that repeat");
  const model: HeldModel = { ...whole, read: async () => Buffer.from(weights), digest: () => null };
  // A link on which a slice takes longer than its packing does.
  const pace = { sliceBytes: 16 * 1024, take: async () => void (await new Promise((done) => setTimeout(done, 20))) };
  let sent = 0;
  const { member } = await memberWith((socket) => {
    socket.once("close", () => (sent += socket.bytesWritten));
    void serveWeights(socket, model, { pace });
  });
  {
    await using _ = member;
    const many = await Promise.all(Array.from({ length: 4 }, () => member.source.read(block, signal)));
    expect(many.every((bytes) => bytes.equals(weights))).toBe(true);
  }
  await expect.poll(() => sent).toBeGreaterThan(0);
  expect(sent).toBeLessThan(2 * block.bytes);

  const socket = connect({ host: "127.0.0.1", port: port() });
  let plain = 0;
  socket.on("data", (chunk: Buffer) => (plain += chunk.length));
  socket.write(`{"want":"block","index":${block.index}}\n`);
  await expect.poll(() => plain).toBeGreaterThan(block.bytes);
  socket.destroy();
});

test("a block of another length than it must have is refused before it is read", async () => {
  const block = whole.layout.blocks[0];
  if (block === undefined) throw new Error("no block");
  const { member } = await memberWith((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.write(`{"bytes":${block.bytes - 1}}\n`));
  });
  await using _ = member;
  await expect(member.source.read(block, signal)).rejects.toThrow(/bytes for/u);
});

test("what was asked for at the same time as something that was given up comes all the same, when asked again", async () => {
  const { member } = await served(whole);
  await using _ = member;
  const stop = new AbortController();
  const blocks = whole.layout.blocks.slice(0, 8);
  const given = blocks.map((block, at) => member.source.read(block, at === 0 ? stop.signal : signal).catch(() => null));
  stop.abort();
  expect(await given[0]).toBeNull();
  await Promise.all(given);
  for (const block of blocks) expect((await member.source.read(block, signal)).equals(await whole.read(block))).toBe(true);
});
