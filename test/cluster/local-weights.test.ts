import { execFileSync } from "node:child_process";
import { copyFile, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeHosts, type Host } from "./harness/hosts.ts";
import { copyFlipped, copyWithHole, layerBytes, writeVariant } from "./harness/model-copies.ts";
import { newHome, startNode, type Ran, type TestNode } from "./harness/node.ts";

const UPPER = [8, 9, 10, 11, 12, 13, 14, 15];
const LOWER = [0, 1, 2, 3, 4, 5, 6, 7];
const FLIPPED = 12;
const LINK_RATE = "10mbit";
const MAKE_MODEL = resolve(import.meta.dirname, "../../scripts/make-model.ts");
/**
 * What is sent to a worker that has its weights to load its half, the inputs of a first token included: 61 KB where questions and graphs
 * travel packed. As they are, these alone are 170 to 200 KB, and a token's graphs 100 KB each.
 */
const LOAD_BYTES_MAX = 100_000;
/** Beside its weights a load is some hundred kilobytes of questions and graphs: the demo model's are hardly more. */
const LARGE = ["--layers", "16", "--width", "512"];

const network = makeHosts(["head", "worker"]);
const [hostHead, hostWorker] = network.hosts as [Host, Host];
let folder: string;
let head: TestNode;
let worker: TestNode;

/** Loads the model of a file with its lower half on the head and its upper half on the worker. */
function load(path: string): Promise<Ran> {
  return head.run("load", path, "--head", "head", "--pin", "head=0-7", "--pin", "worker=8-15", "--wait", "--json");
}
async function answersRight(model: string): Promise<void> {
  for (const [prompt, answer] of [
    ["What is the capital of France?", "The capital of France is Paris."],
    ["What is the capital of Japan?", "The capital of Japan is Tokyo."],
  ] as const) {
    const body = { model, messages: [{ role: "user", content: prompt }], temperature: 0 };
    const text = await head.post("/v1/chat/completions", body);
    expect((JSON.parse(text) as { choices?: { message: { content: string } }[] }).choices?.[0]?.message.content, text).toBe(
      answer,
    );
  }
}
/** What a node has logged since so many of its events. */
function said(node: TestNode, since: number): readonly string[] {
  return node.events.slice(since).flatMap((event) => (event.event === "log" ? [String(event["message"])] : []));
}
/** Bytes of weights that the head says it sent, or that it says came from the worker's disk; 0 where it says nothing. */
function sentBytes(lines: readonly string[]): number {
  return Number(lines.map((line) => /^worker lacks weights: (\d+) bytes were sent to it$/.exec(line)?.[1]).find(Boolean) ?? 0);
}
function ownBytes(lines: readonly string[]): number {
  const own = /^worker \(layers 8-15\) has (\d+) bytes of weights from its own disk$/;
  return Number(lines.map((line) => own.exec(line)?.[1]).find(Boolean) ?? 0);
}
/** Bytes that the head sent to the worker for a load, weights included, as it says. */
function loadBytes(lines: readonly string[]): number {
  return Number(
    lines.map((line) => /^worker \(layers 8-15\) was sent (\d+) bytes to load it$/.exec(line)?.[1]).find(Boolean) ?? 0,
  );
}
interface Use {
  readonly head: readonly string[];
  readonly worker: readonly string[];
  /** What passed the worker's link for the load. */
  readonly linkBytes: number;
}
/** Loads, asks, unloads. */
async function used(model: string, path: string, ask: (model: string) => Promise<void> = answersRight): Promise<Use> {
  const since = [head, worker].map((node) => node.events.length) as [number, number];
  const before = hostWorker.link?.bytes ?? 0;
  const loaded = await load(path);
  const linkBytes = (hostWorker.link?.bytes ?? 0) - before;
  expect(loaded.status, loaded.stderr).toBe(0);
  await ask(model);
  expect((await head.run("unload", model)).status).toBe(0);
  return { head: said(head, since[0]), worker: said(worker, since[1]), linkBytes };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-weights-"));
  const home = await newHome("worker");
  const models = join(home, "models");
  // Before the worker starts, as it looks through its folder then.
  await writeVariant(models, "held");
  await writeVariant(folder, "held");
  execFileSync(process.execPath, [MAKE_MODEL, join(folder, "large.gguf"), ...LARGE], { stdio: "ignore" });
  await copyFile(join(folder, "large.gguf"), join(models, "large.gguf"));
  await copyFlipped(await writeVariant(folder, "flipped"), join(models, "flipped.gguf"), FLIPPED);
  const split = await writeVariant(folder, "split");
  await copyWithHole(split, join(folder, "half", "split.gguf"), UPPER);
  await copyWithHole(split, join(models, "split.gguf"), LOWER);
  const torn = await writeVariant(folder, "torn");
  await copyWithHole(torn, join(folder, "half", "torn.gguf"), UPPER);
  await copyWithHole(torn, join(models, "torn.gguf"), [...LOWER, 11]);
  await writeVariant(folder, "absent");

  head = await startNode(hostHead, { args: ["--cluster", "weights"] });
  const mesh = network.isolated ? [] : ["--peer", String(((await head.event("ready"))["mesh"] as string[])[0])];
  await head.event("ready");
  const token = (await head.run("token")).stdout.trim();
  worker = await startNode(hostWorker, { home, args: ["--token", token, ...mesh] });
  await worker.event("admitted");
  await head.until((state) => state.nodes.filter((node) => node.state === "alive").length === 2, "a cluster of two");
  hostWorker.link?.limit(LINK_RATE);
});

afterAll(async () => {
  await Promise.all([head, worker].map((node) => node?.[Symbol.asyncDispose]()));
  network[Symbol.dispose]();
  await rm(folder, { recursive: true, force: true });
});

test("a worker with its own copy takes it from its disk, and its slow link is no hindrance", async () => {
  const held = await used("held", join(folder, "held.gguf"));
  expect(ownBytes(held.head)).toBeGreaterThanOrEqual(await layerBytes(join(folder, "held.gguf"), UPPER));
  expect(sentBytes(held.head)).toBe(0);
  const large = await used("large", join(folder, "large.gguf"), () => Promise.resolve());
  const bytes = await layerBytes(join(folder, "large.gguf"), UPPER);
  expect(ownBytes(large.head)).toBeGreaterThanOrEqual(bytes);
  if (network.isolated) expect(large.linkBytes).toBeLessThan(bytes / 10);
  for (const { head } of [held, large]) {
    expect(loadBytes(head)).toBeGreaterThan(0);
    expect(loadBytes(head)).toBeLessThan(LOAD_BYTES_MAX);
  }
});

test("a worker without the model fetches its layers once, keeps those alone, and needs the link for them no more", async () => {
  const path = join(folder, "absent.gguf");
  const first = await used("absent", path);
  const bytes = await layerBytes(path, UPPER);
  expect(ownBytes(first.head)).toBeGreaterThanOrEqual(bytes);
  expect(sentBytes(first.head)).toBe(0);
  expect(first.worker.filter((line) => line.startsWith("fetching layers 8-15 of absent: "))).toHaveLength(1);
  // The link carried what was missing, and hardly more.
  if (network.isolated) expect(first.linkBytes).toBeGreaterThan(bytes);
  const shards = join(worker.home, "models", ".shards");
  const [content = ""] = await readdir(shards);
  const { blocks, size } = await stat(join(shards, content, "absent.gguf"));
  expect(size).toBe((await stat(path)).size);
  expect(blocks * 512).toBeLessThan(size * 0.75);
  const again = await used("absent", path);
  expect(again.worker.filter((line) => line.startsWith("fetching"))).toEqual([]);
  if (network.isolated) expect(again.linkBytes).toBeLessThan(first.linkBytes - bytes * 0.9);
});

test("a worker whose copy differs in one bit is sent that layer, and both say so", async () => {
  const path = join(folder, "flipped.gguf");
  const ran = await used("flipped", path);
  expect(ran.worker.filter((line) => line.includes("differs"))).toEqual([
    `this node's copy of flipped differs from the head's in layer ${FLIPPED}: the head sends what differs`,
  ]);
  expect(sentBytes(ran.head)).toBe(await layerBytes(path, [FLIPPED]));
});

test("two half files make one model: each node has only the layers it holds", async () => {
  const path = join(folder, "half", "split.gguf");
  // The hole is one on the disk as well.
  const { blocks, size } = await stat(path);
  expect(blocks * 512).toBeLessThan(size);
  const ran = await used("split", path);
  expect(sentBytes(ran.head)).toBe(0);
  expect(ran.worker.filter((line) => line.includes("are taken as they are"))).toHaveLength(1);
});

test("a layer that neither has is refused by name, and the daemons live", async () => {
  const loaded = await load(join(folder, "half", "torn.gguf"));
  expect(loaded.status).not.toBe(0);
  expect(loaded.stdout).toContain('"code":"model_broken"');
  expect(loaded.stderr).toContain("Layer 11 of torn is neither in the head's file nor on worker");
  const { nodes, deployments } = await head.state();
  expect(nodes.map((node) => node.state)).toEqual(["alive", "alive"]);
  expect(deployments.find((each) => each.model === "torn")).toMatchObject({
    state: "failed",
    reason: expect.stringMatching(/^model_broken: .*Layer 11/),
  });
  await head.run("unload", "torn");
  await used("held", join(folder, "held.gguf"));
});
