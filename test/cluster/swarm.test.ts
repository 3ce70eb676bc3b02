import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, open, readFile, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestHub, type TestHub } from "../../packages/catalog/src/testing/hub-server.ts";
import type { ClusterState, PullEvent } from "../../packages/wire/src/index.ts";
import type { Host } from "./harness/hosts.ts";
import { startNode, type TestNode } from "./harness/node.ts";

const MAKE_MODEL = resolve(import.meta.dirname, "../../scripts/make-model.ts");
const hostNamed = (name: string): Host => ({ name, ownPorts: false, wrap: (command, args) => [command, args] });
/** Many small blocks: what a few of them cost twice is little. */
const LAYERS = 32;
const FILE = "made-Q8_0.gguf";
const ID = "o/r:Q8_0";
/** What `a` may give away in a second, so that there is a middle to be killed in. */
const SERVE_RATE = 16_000_000;
const WAIT_MS_MAX = 120_000;
const POLL_MS = 200;

let folder: string;
let hub: TestHub;
let model: Buffer;
let sha256: string;
let nodes: readonly [TestNode, TestNode, TestNode];
let token: string;
let address: string;

async function start(name: string, home?: string): Promise<TestNode> {
  const joins = name === "a" ? ["--cluster", "swarm", "--serve-rate", "16MB"] : ["--token", token, "--peer", address];
  const options = { args: ["--no-mdns", ...joins], env: { HF_ENDPOINT: hub.endpoint } };
  return startNode(hostNamed(name), home === undefined ? options : { ...options, home });
}
/** Polls by HTTP: a command's start is a second of a core. */
async function until(node: TestNode, wanted: (state: ClusterState) => boolean, what: string): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX;
  for (;;) {
    const state = await node.peek().catch(() => null);
    if (state !== null && wanted(state)) return;
    if (performance.now() > deadline) throw new Error(`${node.host.name}: not ${what}: ${JSON.stringify(state?.models)}`);
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}
const three = (node: TestNode): Promise<void> =>
  until(node, (state) => state.nodes.filter((each) => each.state === "alive").length === 3, "a cluster of three");

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-swarm-"));
  const path = join(folder, FILE);
  execFileSync(process.execPath, [MAKE_MODEL, path, "--layers", String(LAYERS), "--width", "512"], { stdio: "ignore" });
  model = await readFile(path);
  sha256 = createHash("sha256").update(model).digest("hex");
  hub = await startTestHub({ files: { [FILE]: model }, bytesPerSecond: 5_000_000 });
  const a = await start("a");
  address = String(((await a.event("ready"))["mesh"] as string[])[0]);
  token = (await a.run("token")).stdout.trim();
  nodes = [a, ...(await Promise.all([start("b"), start("c")]))] as unknown as typeof nodes;
  await Promise.all(nodes.map(three));
});
afterAll(async () => {
  await Promise.all((nodes ?? []).map((node) => node[Symbol.asyncDispose]()));
  await hub?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** Pulls by HTTP: a command's start is a second of a core, and all are to begin at once. */
async function pull(node: TestNode, ref: string, all = false): Promise<Extract<PullEvent, { event: "done" }>> {
  const lines = (await node.post("/cluster/v1/pull", { model: ref, all })).trim().split("\n");
  const last = JSON.parse(lines.at(-1) ?? "{}") as PullEvent;
  if (last.event !== "done") throw new Error(`${node.host.name}: ${lines.at(-1)} ${said(node, 0).slice(-8).join(" | ")}`);
  return last;
}
function said(node: TestNode, since: number): readonly string[] {
  return node.events.slice(since).flatMap((event) => (event.event === "log" ? [String(event["message"])] : []));
}
/** What a node says came for a copy of the model, by where it came from. */
function cameFrom(node: TestNode, since: number): ReadonlyMap<string, number> {
  const [, list = ""] =
    said(node, since)
      .map((line) => /^all of o\/r:Q8_0 came: (.*)$/u.exec(line))
      .find((match) => match !== null) ?? [];
  return new Map([...list.matchAll(/(\d+) bytes from ([^,]+)/gu)].map(([, bytes, name]) => [name ?? "", Number(bytes)]));
}
const fileOn = (node: TestNode): string => join(node.home, "models/o/r", FILE);
/** The file is right, and nothing of it is on the disk twice. */
async function isRight(node: TestNode): Promise<void> {
  expect((await readFile(fileOn(node))).equals(model), node.host.name).toBe(true);
  expect(await readdir(join(node.home, "models/.shards")).catch(() => [])).toEqual([]);
}
/** Waits for those who still read from it to hang up. */
async function remove(node: TestNode): Promise<void> {
  await until(node, ({ models, self }) => models.some(({ id, nodes: holders }) => id === ID && holders.includes(self)), "listed");
  for (const deadline = performance.now() + WAIT_MS_MAX; ;) {
    const answer = await node.post("/cluster/v1/rm", { model: "hf:o/r" });
    if (answer.includes(`"model":"${ID}"`)) return;
    if (performance.now() > deadline) throw new Error(`${node.host.name}: ${answer}`);
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}
const knownTo = (asker: TestNode, holders: readonly TestNode[]): Promise<void> =>
  until(
    asker,
    ({ models, nodes: all }) => {
      const ids = models.find(({ id }) => id === ID)?.nodes ?? [];
      const names = ids.map((id) => all.find((node) => node.id === id)?.name);
      return names.length === holders.length && holders.every(({ host }) => names.includes(host.name));
    },
    `${ID} on ${holders.length}`,
  );

test("three nodes that pull one model at once move it once over the hub's link, and each has all of it", async () => {
  const done = await Promise.all(nodes.map((node) => pull(node, "hf:o/r")));
  for (const [at, node] of nodes.entries()) {
    expect(done[at]).toEqual({ event: "done", model: ID, path: fileOn(node), bytes: model.length, sha256 });
    await isRight(node);
  }
  expect(hub.sentBytes).toBeGreaterThanOrEqual(model.length);
  expect(hub.sentBytes).toBeLessThan(model.length * 1.05);
  // Each has taken its share, and given it to the others.
  for (const node of nodes) expect([...cameFrom(node, 0).keys()].length).toBeGreaterThan(1);
});

test("what a member has comes from it, at most as fast as it gives, to several together once", async () => {
  const [a, b, c] = nodes;
  await Promise.all([remove(b), remove(c)]);
  await Promise.all([knownTo(b, [a]), knownTo(c, [a])]);
  expect((await a.peek()).transferLimits).toEqual({ fetchBytesPerSecond: null, serveBytesPerSecond: SERVE_RATE });
  const before = hub.sentBytes;
  const since = [b, c].map((node) => node.events.length);
  await Promise.all([b, c].map((node) => pull(node, ID, true)));
  await Promise.all([isRight(b), isRight(c)]);
  // The hub was asked for headers alone.
  expect(hub.sentBytes - before).toBeLessThan(model.length * 0.05);
  const fromA = [b, c].map((node, at) => cameFrom(node, since[at] ?? 0).get("a") ?? 0);
  expect(fromA[0]! + fromA[1]!).toBeLessThan(model.length * 1.05);
  for (const bytes of fromA) expect(bytes).toBeGreaterThan(model.length * 0.2);
});

/** How much of a model's blocks a node has written down as there, from 0 to 1. */
async function recordedShare(node: TestNode): Promise<number> {
  const shards = join(node.home, "models/.shards");
  for (const content of await readdir(shards).catch(() => [])) {
    const text = await readFile(join(shards, content, "blocks.json"), "utf8").catch(() => null);
    if (text === null) continue;
    const { count, present } = JSON.parse(text) as { readonly count: number; readonly present: string };
    const bits = [...Buffer.from(present, "base64")].map((byte) => byte.toString(2).replaceAll("0", "").length);
    return bits.reduce((sum, ones) => sum + ones, 0) / count;
  }
  return 0;
}

test("killed in the middle, a pull goes on with what was there, and ends with the right bytes", async () => {
  const [a, b, c] = nodes;
  await Promise.all([remove(b), remove(c)]);
  await knownTo(b, [a]);
  const command = b.run("pull", ID, "--all", "--json");
  for (const deadline = performance.now() + WAIT_MS_MAX; (await recordedShare(b)) < 0.3 && performance.now() < deadline;)
    await new Promise((done) => setTimeout(done, POLL_MS));
  await b.end("SIGKILL");
  const share = await recordedShare(b);
  expect(share).toBeGreaterThanOrEqual(0.3);
  expect(share).toBeLessThan(1);
  await command;
  const again = await start("b", b.home);
  nodes = [a, again, c];
  await three(again);
  await knownTo(again, [a]);
  const done = await pull(again, "hf:o/r");
  expect(done).toMatchObject({ model: ID, bytes: model.length, sha256 });
  await isRight(again);
  const came = [...cameFrom(again, 0).values()].reduce((sum, bytes) => sum + bytes, 0);
  expect(came).toBeGreaterThan(0);
  // Blocks are of about one size, those of layers.
  expect(came).toBeLessThan(model.length * (1 - share * 0.7));
});

test("a member whose file has changed is dropped by name, all ends well, and it is not asked again", async () => {
  const [a, b, c] = nodes;
  await pull(c, "hf:o/r");
  await remove(b);
  // In all layers, so that whatever is asked of it is wrong.
  await using file = await open(fileOn(c), "r+");
  const { size } = await stat(fileOn(c));
  for (let at = size - 1; at > 4_000_000; at -= 1_000_000) await file.write(Buffer.from([model.readUInt8(at) ^ 1]), 0, 1, at);
  await knownTo(b, [a, c]);
  const since = b.events.length;
  await pull(b, "hf:o/r");
  await isRight(b);
  expect(
    said(b, since).filter((line) => /^c sent wrong bytes .* It is not asked again for o\/r:Q8_0\.$/u.test(line)),
  ).toHaveLength(1);
  await remove(b);
  await knownTo(b, [a, c]);
  const later = b.events.length;
  await pull(b, "hf:o/r");
  await isRight(b);
  expect([...cameFrom(b, later).keys()]).not.toContain("c");
  expect(said(b, later).filter((line) => line.includes("wrong bytes"))).toEqual([]);
});
