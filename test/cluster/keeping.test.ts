import { execFileSync } from "node:child_process";
import { mkdtemp, open, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestHub, type TestHub } from "../../packages/catalog/src/testing/hub-server.ts";
import type { VerifyEvent } from "../../packages/wire/src/index.ts";
import type { Host } from "./harness/hosts.ts";
import { layerBytes } from "./harness/model-copies.ts";
import { startNode, type Ran, type TestNode } from "./harness/node.ts";

const MAKE_MODEL = resolve(import.meta.dirname, "../../scripts/make-model.ts");
const hostNamed = (name: string): Host => ({ name, ownPorts: false, wrap: (command, args) => [command, args] });
const PROMPT = { messages: [{ role: "user", content: "Tell me of the sea." }], temperature: 0, max_tokens: 12 };
const LAYERS = 16;

let folder: string;
let hub: TestHub;
let isHubDown = false;
let big: string;
let other: string;
let modelBytes: number;
let halfBytes: number;
let right: string;
let a: TestNode;
let b: TestNode;

async function textOf(model: string): Promise<string> {
  const answer = await a.post("/v1/chat/completions", { model, ...PROMPT });
  return (
    (JSON.parse(answer) as { choices?: readonly { message: { content: string } }[] }).choices?.[0]?.message.content ?? answer
  );
}
function load(ref: string, ...pins: string[]): Promise<Ran> {
  return a.run("load", ref, "--ctx", "256", "--head", "a", ...pins.flatMap((pin) => ["--pin", pin]), "--wait", "--json");
}
async function loaded(ref: string, ...pins: string[]): Promise<void> {
  const ran = await load(ref, ...pins);
  expect(ran.status, ran.stderr).toBe(0);
}
async function unload(model: string): Promise<void> {
  expect((await a.run("unload", model)).status).toBe(0);
}
const said = (node: TestNode, since = 0): readonly string[] =>
  node.events.slice(since).flatMap((event) => (event.event === "log" ? [String(event["message"])] : []));
const evicted = (node: TestNode): readonly string[] =>
  node.events.flatMap((event) => (event.event === "evicted" ? [String(event["what"])] : []));

/** The file with holes in which a node keeps what it has of a model. */
async function shardOf(node: TestNode, name: string): Promise<string> {
  const shards = join(node.home, "models", ".shards");
  for (const content of await readdir(shards))
    if ((await readdir(join(shards, content))).includes(name)) return join(shards, content, name);
  throw new Error(`${name} is not on ${node.home}`);
}
/** Blocks on the disk, as `du` counts them. */
async function diskBytes(path: string): Promise<number> {
  return Number(execFileSync("du", ["--block-size=1", path], { encoding: "utf8" }).split("\t")[0]);
}
/** Flips one bit of a file, as a disk might, and gives its place: the middle of a layer. */
async function flip(path: string, at: number): Promise<void> {
  await using file = await open(path, "r+");
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, at);
  byte[0] = (byte[0] ?? 0) ^ 0x40;
  await file.write(byte, 0, 1, at);
}
/** The first byte of a file that two copies of it have and that is not zero, from a share of its length on: never in a hole. */
async function placeIn(path: string, share: number): Promise<number> {
  const bytes = await readFile(path);
  for (let at = Math.floor(bytes.length * share); at < bytes.length; at++) if (bytes[at] !== 0) return at;
  throw new Error("nothing but zeros");
}
async function verified(node: TestNode, ...args: string[]): Promise<{ readonly status: number; readonly events: VerifyEvent[] }> {
  const ran = await node.run("verify", ...args, "--json");
  const lines = ran.stdout.trim().split("\n").filter(Boolean);
  return { status: ran.status, events: lines.map((line) => JSON.parse(line) as VerifyEvent) };
}
const kinds = (events: readonly VerifyEvent[]): readonly string[] =>
  events.map(({ event }) => event).filter((event) => event !== "progress");

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-keeping-"));
  big = join(folder, "big.gguf");
  other = join(folder, "other.gguf");
  execFileSync(process.execPath, [MAKE_MODEL, big, "--layers", String(LAYERS), "--width", "512"], { stdio: "ignore" });
  execFileSync(process.execPath, [MAKE_MODEL, other, "--layers", String(LAYERS), "--width", "384"], { stdio: "ignore" });
  modelBytes = (await stat(big)).size;
  halfBytes = await layerBytes(big, [8, 9, 10, 11, 12, 13, 14, 15]);
  hub = await startTestHub({
    files: { "big-Q8_0.gguf": await readFile(big) },
    fault: () => (isHubDown ? { kind: "status", status: 404 } : null),
  });
  const env = { HF_ENDPOINT: hub.endpoint };
  a = await startNode(hostNamed("a"), { args: ["--no-mdns", "--cluster", "keeping"], env });
  const [address] = (await a.event("ready"))["mesh"] as string[];
  const token = (await a.run("token")).stdout.trim();
  const limit = Math.floor(halfBytes * 1.3);
  const args = ["--no-mdns", "--token", token, "--peer", String(address), "--disk", `${limit}B`];
  b = await startNode(hostNamed("b"), { args, env });
  await b.event("admitted");
  await a.until((state) => state.nodes.filter((node) => node.state === "alive").length === 2, "a cluster of two");
  await loaded(big, `a=0-${LAYERS - 1}`);
  right = await textOf("big");
  expect(right).toBeTruthy();
  await unload("big");
});
afterAll(async () => {
  await Promise.all([a, b].map((node) => node?.[Symbol.asyncDispose]()));
  await hub?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

test("a bit that flips in a worker's layers is found at the next load, and fetched again; the answers stay the same", async () => {
  await loaded(big, "a=0-7", "b=8-15");
  expect(await textOf("big")).toBe(right);
  await unload("big");
  const shard = await shardOf(b, "big.gguf");
  await flip(shard, await placeIn(shard, 0.7));
  const since = [a, b].map((node) => node.events.length) as [number, number];
  await loaded(big, "a=0-7", "b=8-15");
  expect(await textOf("big")).toBe(right);
  expect(said(b, since[1]).filter((line) => line.includes("are not as they were written"))).toHaveLength(1);
  // The head had nothing to send with the load.
  expect(said(a, since[0]).filter((line) => line.includes("lacks weights"))).toEqual([]);
  const { status, events } = await verified(b);
  expect(status).toBe(0);
  expect(kinds(events)).toContain("right");
  expect(kinds(events)).not.toContain("damaged");
});

test("verify finds a flipped bit in what is deployed, says where, and mends it from the other node", async () => {
  const shard = await shardOf(b, "big.gguf");
  const at = await placeIn(shard, 0.8);
  await flip(shard, at);
  const looked = await verified(b, "big", "--no-repair");
  expect(looked.status).toBe(1);
  const damaged = looked.events.find((event) => event.event === "damaged");
  expect(damaged).toMatchObject({ model: "big", path: shard, action: "kept", part: expect.stringMatching(/^layer \d+$/) });
  if (damaged?.event !== "damaged") throw new Error("nothing was found");
  expect(at).toBeGreaterThanOrEqual(damaged.firstByte);
  expect(at).toBeLessThanOrEqual(damaged.lastByte);
  const mended = await verified(b, "big");
  expect(mended.status).toBe(0);
  expect(kinds(mended.events)).toEqual(["damaged", "repaired", "done"]);
  expect((await verified(b, "big", "--no-repair")).status).toBe(0);
  expect(await textOf("big")).toBe(right);
  // A file that came by its path cannot be verified, which is no "right".
  const own = await verified(a, "big");
  expect(own.status).toBe(0);
  expect(kinds(own.events)).toEqual(["unverifiable", "done"]);
  expect((await verified(a, "nobody")).status).toBe(4);
});

test("layers that moved away stay until they are given back; what is deployed is not deleted", async () => {
  const shard = await shardOf(b, "big.gguf");
  const before = await diskBytes(shard);
  const { stdout } = await b.run("models", "--json");
  expect(JSON.parse(stdout)).toMatchObject({
    parts: [expect.objectContaining({ model: "big", layers: "8-15", hasHead: false })],
  });
  expect((await b.run("models")).stdout).toMatch(/layers 8-15 of big on b, [\d.]+ MB/);
  await unload("big");
  await loaded(big, "a=0-11", "b=12-15");
  expect(await diskBytes(shard)).toBe(before);
  const refused = await b.run("rm", "big");
  expect(refused.status).not.toBe(0);
  expect(refused.stderr).toContain("deployed from its file here");
  const gave = await b.run("rm", "big", "--unused", "--json");
  expect(gave.status, gave.stderr).toBe(0);
  expect(JSON.parse(gave.stdout)).toMatchObject({ model: "big", layers: "8-11", removed: true });
  expect(await diskBytes(shard)).toBeLessThan(before * 0.6);
  expect(await textOf("big")).toBe(right);
  await unload("big");
  // They come back when they are needed.
  await loaded(big, "a=0-7", "b=8-15");
  expect(await textOf("big")).toBe(right);
});

test("within its limit a node gives back what is used least, and nothing that is deployed", async () => {
  const shard = await shardOf(b, "big.gguf");
  const bigBytes = await diskBytes(shard);
  // The first model is deployed: its layers stay, the second one's are sent with the load.
  const since = a.events.length;
  await loaded(other, "a=0-7", "b=8-15");
  const why = said(a, since).filter((line) => line.includes("keeps no layers"));
  expect(why).toHaveLength(1);
  expect(why[0]).toMatch(/that models may take on this node.* In use here: layers 8-15 of big/);
  expect(evicted(b)).toEqual([]);
  expect(await textOf("big")).toBe(right);
  expect(await diskBytes(shard)).toBe(bigBytes);
  await unload("other");
  await unload("big");
  await loaded(other, "a=0-7", "b=8-15");
  expect(evicted(b)).toEqual(["all parts of big"]);
  await expect(stat(shard)).rejects.toThrow("ENOENT");
  const { nodes } = await b.until((state) => {
    const disk = state.nodes.find((node) => node.name === "b")?.disk;
    return disk !== null && disk !== undefined && disk.usedBytes > 0;
  }, "a disk that is told of");
  const disk = nodes.find((node) => node.name === "b")?.disk;
  expect(disk?.usedBytes).toBeLessThanOrEqual(disk?.capBytes ?? 0);
  await unload("other");
  await b.until(({ deployments }) => deployments.length === 0, "nothing that is deployed");
  const removed = await b.run("rm", "other");
  expect(removed.status, removed.stderr).toBe(0);
  expect(await readdir(join(b.home, "models", ".shards"))).toEqual([]);
});

test("a pulled file with a flipped bit is put aside before it is loaded, and fetched again; without the hub it is an error, never a wrong answer", async () => {
  const pulled = await a.run("pull", "hf:o/r:Q8_0", "--json");
  expect(pulled.status, pulled.stderr).toBe(0);
  // The same content lies under its own path: that one goes, or it would be taken in place of the other.
  await rm(big);
  expect((await a.run("models")).status).toBe(0);
  const path = join(a.home, "models", "o", "r", "big-Q8_0.gguf");
  await loaded("hf:o/r:Q8_0", `a=0-${LAYERS - 1}`);
  expect(await textOf("o/r:Q8_0")).toBe(right);
  await unload("o/r:Q8_0");

  await flip(path, await placeIn(path, 0.5));
  const since = a.events.length;
  const before = hub.sentBytes;
  await loaded("hf:o/r:Q8_0", `a=0-${LAYERS - 1}`);
  expect(await textOf("o/r:Q8_0")).toBe(right);
  expect(said(a, since).filter((line) => line.includes("is put aside as"))).toHaveLength(1);
  expect(hub.sentBytes - before).toBeGreaterThanOrEqual(modelBytes);
  expect(await readdir(join(a.home, "models", "o", "r"))).not.toContain("big-Q8_0.gguf.quarantined");
  await unload("o/r:Q8_0");

  const at = await placeIn(path, 0.6);
  await flip(path, at);
  const looked = await verified(a, "o/r:Q8_0", "--no-repair");
  expect([looked.status, kinds(looked.events)]).toEqual([1, ["damaged", "done"]]);
  const mended = await verified(a, "o/r:Q8_0");
  expect([mended.status, kinds(mended.events)]).toEqual([0, ["damaged", "repaired", "done"]]);
  expect(mended.events.find(({ event }) => event === "repaired")).toMatchObject({ path, firstByte: at });

  await flip(path, at);
  isHubDown = true;
  const failed = await load("hf:o/r:Q8_0", `a=0-${LAYERS - 1}`);
  expect(failed.status).not.toBe(0);
  const { deployments, models } = await a.state();
  expect(deployments.find(({ model }) => model === "o/r:Q8_0")?.reason).toContain(
    "was not what was pulled any more and is put aside",
  );
  expect(models.map(({ id }) => id)).not.toContain("o/r:Q8_0");
  expect(await readdir(join(a.home, "models", "o", "r"))).toContain("big-Q8_0.gguf.quarantined");
  isHubDown = false;
  await a.run("unload", "o/r:Q8_0");
});
