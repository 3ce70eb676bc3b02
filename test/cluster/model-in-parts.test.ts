import { execFileSync } from "node:child_process";
import { mkdtemp, open, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { punchHoles } from "../../packages/catalog/src/shards/sparse-file.ts";
import { startTestHub, type TestHub } from "../../packages/catalog/src/testing/hub-server.ts";
import type { ClusterState, DeploymentView } from "../../packages/wire/src/index.ts";
import type { Host } from "./harness/hosts.ts";
import { startNode, type TestNode } from "./harness/node.ts";

const MAKE_MODEL = resolve(import.meta.dirname, "../../scripts/make-model.ts");
const hostNamed = (name: string): Host => ({ name, ownPorts: false, wrap: (command, args) => [command, args] });
interface Answer {
  readonly choices?: readonly { readonly message: { readonly content: string } }[];
}
const PROMPT = { messages: [{ role: "user", content: "Tell me of the sea." }], temperature: 0, max_tokens: 12 };
const MODEL = "o/r:Q8_0";
/** A listing and a header, which is asked for in ranges larger than it is. */
const HEADER_BYTES = 4 * 1024 * 1024;
const NAMES = ["a", "b", "c"] as const;
type Name = (typeof NAMES)[number];

let folder: string;
let hub: TestHub | null = null;
let modelBytes: number;
let endpoint: string;
let token: string;
const nodes = new Map<Name, TestNode>();
const homes = new Map<Name, string>();
const node = (name: Name): TestNode => nodes.get(name) as TestNode;
const sent = (): number => hub?.sentBytes ?? 0;

async function start(name: Name, peer: Name | null): Promise<void> {
  const address = peer === null ? null : ((await node(peer).event("ready"))["mesh"] as string[])[0];
  const known = homes.get(name);
  const how = known !== undefined ? [] : name === "a" ? ["--cluster", "parts"] : ["--token", token];
  const started = await startNode(hostNamed(name), {
    ...(known === undefined ? {} : { home: known }),
    args: ["--no-mdns", "--memory", "2GB", "--bandwidth", "5GB", ...how, ...(address == null ? [] : ["--peer", address])],
    env: { HF_ENDPOINT: endpoint },
  });
  nodes.set(name, started);
  homes.set(name, started.home);
  await started.event("ready");
}

const aliveIn = ({ nodes: all }: ClusterState): number => all.filter(({ state }) => state === "alive").length;
const deployed = ({ deployments }: ClusterState): DeploymentView | undefined =>
  deployments.find(({ model, state }) => model === MODEL && state !== "failed");

async function text(name: Name): Promise<string | undefined> {
  const answer = await node(name).post("/v1/chat/completions", { model: MODEL, ...PROMPT });
  const { choices } = JSON.parse(answer) as Answer;
  expect(choices, answer).toBeDefined();
  return choices?.[0]?.message.content;
}

/** The holed file that a node keeps. */
async function fileOf(name: Name): Promise<string> {
  const shards = join(node(name).home, "models", ".shards");
  for (const content of await readdir(shards))
    for (const file of await readdir(join(shards, content))) if (file.endsWith(".gguf")) return join(shards, content, file);
  throw new Error(`${name} keeps nothing`);
}
const diskBytes = async (name: Name): Promise<number> => (await stat(await fileOf(name))).blocks * 512;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-parts-"));
  const path = join(folder, "made-Q8_0.gguf");
  execFileSync(process.execPath, [MAKE_MODEL, path, "--layers", "16", "--width", "512"], { stdio: "ignore" });
  modelBytes = (await stat(path)).size;
  hub = await startTestHub({ files: { "made-Q8_0.gguf": await readFile(path) } });
  endpoint = hub.endpoint;
  await start("a", null);
  token = (await node("a").run("token")).stdout.trim();
  await Promise.all([start("b", "a"), start("c", "a")]);
  await node("a").until((state) => aliveIn(state) === 3, "a cluster of three");
});
afterAll(async () => {
  await Promise.all([...nodes.values()].map((each) => each[Symbol.asyncDispose]()));
  await hub?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

let answer: string | undefined;

test("each has its part; unloaded and loaded with another context, nothing is fetched again", async () => {
  const planned = JSON.parse((await node("a").run("plan", "hf:o/r", "--objective", "spread", "--json")).stdout) as {
    notes: string[];
    stages: { fetchBytes: number; weightBytes: number }[];
  };
  expect(planned.notes.filter((note) => / fetches .* from the hub\.$/.test(note))).toHaveLength(3);
  for (const stage of planned.stages) expect(stage.fetchBytes).toBeGreaterThanOrEqual(stage.weightBytes);
  const words = ["--objective", "spread", "--head", "a", "--wait", "--json"];
  const loaded = await node("a").run("load", "hf:o/r", "--ctx", "256", ...words);
  expect(loaded.status, loaded.stderr).toBe(0);
  answer = await text("a");
  expect(answer).toBeTruthy();
  expect(sent()).toBeLessThan(modelBytes * 1.05 + HEADER_BYTES);
  expect((await node("a").run("unload", MODEL)).status).toBe(0);
  const before = sent();
  const disks = await Promise.all(NAMES.map(diskBytes));
  const asked = hub?.seen.length ?? 0;
  const again = await node("b").run("load", "hf:o/r", "--ctx", "512", ...words);
  expect(again.status, again.stderr).toBe(0);
  expect(await text("b")).toBe(answer);
  expect(sent() - before).toBeLessThan(HEADER_BYTES);
  expect(await Promise.all(NAMES.map(diskBytes))).toEqual(disks);
  // The head has found out where the rest of the model would be, should it need it.
  await expect.poll(() => hub?.seen.length ?? 0, { timeout: 60_000 }).toBeGreaterThan(asked);
});

test("a worker is lost: the others fetch its layers and go on", async () => {
  const before = sent();
  await node("c").end("SIGKILL");
  await node("a").until((state) => deployed(state)?.state === "ready" && deployed(state)?.stages.length === 2, "two go on");
  expect(await text("a")).toBe(answer);
  // No more than it had.
  expect(sent() - before).toBeLessThan(modelBytes * 0.5 + HEADER_BYTES);
});

test("the head's machine is lost: another becomes the head, with what the hub has of its part", async () => {
  await node("a").end("SIGKILL");
  await start("c", "b");
  await node("b").until(({ nodes: all }) => all.some(({ name, state }) => name === "a" && state === "left"), "without a");
  await node("b").until((state) => aliveIn(state) === 2, "two");
  const loaded = await node("b").run("load", "hf:o/r", "--ctx", "256", "--objective", "spread", "--wait", "--json");
  expect(loaded.status, loaded.stderr).toBe(0);
  expect(await text("c")).toBe(answer);
  expect((await node("b").run("unload", MODEL)).status).toBe(0);
});

/** The node that has the embeddings and the output, and the other one. */
let heading: Name = "c";
const beside = (): Name => (heading === "b" ? "c" : "b");

test("without any hub, after all daemons have ended: together they have it all", async () => {
  await hub?.[Symbol.asyncDispose]();
  hub = null;
  await Promise.all([node("b").end("SIGINT"), node("c").end("SIGINT")]);
  await start("b", null);
  await start("c", "b");
  await node("b").until((state) => aliveIn(state) === 2, "two again");
  const disks = await Promise.all([diskBytes("b"), diskBytes("c")]);
  for (const ref of ["hf:o/r", MODEL]) {
    const loaded = await node("c").run("load", ref, "--ctx", "256", "--objective", "spread", "--wait", "--json");
    expect(loaded.status, loaded.stderr).toBe(0);
    expect(await text("b")).toBe(answer);
    const state = await node("b").state();
    heading = state.nodes.find(({ id }) => id === deployed(state)?.head)?.name === "b" ? "b" : "c";
    expect((await node("b").run("unload", MODEL)).status).toBe(0);
  }
  // Not a byte more than before.
  expect(await Promise.all([diskBytes("b"), diskBytes("c")])).toEqual(disks);
});

test("a node is gone with the only copy of a part: refused, with what is missing and who had it; back again, it loads", async () => {
  await node(heading).end("SIGKILL");
  const left = (state: ClusterState): boolean => state.nodes.some(({ name, state: is }) => name === heading && is === "left");
  await node(beside()).until(left, "without the head");
  const refused = await node(beside()).run("load", MODEL, "--ctx", "256", "--json");
  expect(refused.status).not.toBe(0);
  const missing = new RegExp(`No node that is there has .*the output \\(.*\\) of o/r:Q8_0\\. ${heading} had it last\\.`);
  expect(refused.stderr + refused.stdout).toMatch(missing);
  await start(heading, beside());
  await node(beside()).until((state) => aliveIn(state) === 2, "two once more");
});

test("a request that names it has it loaded from the parts", async () => {
  const ask = async (name: Name): Promise<Answer> =>
    JSON.parse(await node(name).post("/v1/chat/completions", { model: MODEL, ...PROMPT })) as Answer;
  // One node alone takes it, and fetches what the other has: until then clients are asked to come again.
  await expect.poll(() => ask("b"), { timeout: 120_000, interval: 2_000 }).toHaveProperty("choices");
  const { choices } = await ask("c");
  expect(choices?.[0]?.message.content).toBe(answer);
  expect((await node("b").run("unload", MODEL)).status).toBe(0);
});

test("a hole in the head's own layer is seen before it is computed with, and filled from who has it, or refused by name", async () => {
  const load = (): ReturnType<TestNode["run"]> =>
    node("b").run("load", MODEL, "--ctx", "256", "--head", "b", "--pin", "b=0-7", "--pin", "c=8-15", "--wait", "--json");
  expect((await load()).status).toBe(0);
  expect(await text("b")).toBe(answer);
  expect((await node("b").run("unload", MODEL)).status).toBe(0);
  const path = await fileOf("b");
  const { size } = await stat(path);
  // In the middle of the head's half: the embeddings and the output lie around the layers.
  const at = Math.floor(size * 0.3);
  const bytes = await holdUp(path, at);
  expect(await punchHoles(path, [{ position: at, bytes: bytes.length }])).toBe(true);
  const refused = await load();
  if (refused.status === 0) {
    // The other node had those layers as well, from an earlier placement.
    expect(await text("b")).toBe(answer);
    return;
  }
  expect(refused.stderr).toMatch(/layer|bytes of this model/);
  expect(refused.stderr).toMatch(/Nobody|No node/);
});

async function holdUp(path: string, at: number): Promise<Buffer> {
  await using file = await open(path, "r");
  const bytes = Buffer.alloc(65_536);
  await file.read(bytes, 0, bytes.length, at);
  // Otherwise there is no hole to see.
  expect(bytes.some((byte) => byte !== 0)).toBe(true);
  return bytes;
}
