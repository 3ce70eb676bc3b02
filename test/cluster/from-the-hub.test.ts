import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestHub, type TestHub } from "../../packages/catalog/src/testing/hub-server.ts";
import type { Host } from "./harness/hosts.ts";
import { startNode, type TestNode } from "./harness/node.ts";

const MAKE_MODEL = resolve(import.meta.dirname, "../../scripts/make-model.ts");
const hostNamed = (name: string): Host => ({ name, ownPorts: false, wrap: (command, args) => [command, args] });
const PROMPT = { messages: [{ role: "user", content: "Tell me of the sea." }], temperature: 0, max_tokens: 12 };
/** What a load asks the hub for besides weights: the header, by two nodes, in ranges larger than it is. */
const HEADER_BYTES = 4 * 1024 * 1024;

let folder: string;
let hub: TestHub;
let modelBytes: number;
let a: TestNode;
let b: TestNode;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-from-hub-"));
  const path = join(folder, "made-Q8_0.gguf");
  execFileSync(process.execPath, [MAKE_MODEL, path, "--layers", "16", "--width", "512"], { stdio: "ignore" });
  modelBytes = (await stat(path)).size;
  hub = await startTestHub({ files: { "made-Q8_0.gguf": await readFile(path) } });
  const env = { HF_ENDPOINT: hub.endpoint };
  a = await startNode(hostNamed("a"), { args: ["--no-mdns", "--cluster", "hub"], env });
  const [address] = (await a.event("ready"))["mesh"] as string[];
  const token = (await a.run("token")).stdout.trim();
  b = await startNode(hostNamed("b"), { args: ["--no-mdns", "--token", token, "--peer", String(address)], env });
  await b.event("admitted");
  await a.until((state) => state.nodes.filter((node) => node.state === "alive").length === 2, "a cluster of two");
});
afterAll(async () => {
  await Promise.all([a, b].map((node) => node?.[Symbol.asyncDispose]()));
  await hub?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const load = (ref: string, ...pins: string[]): ReturnType<TestNode["run"]> =>
  a.run("load", ref, "--ctx", "256", "--head", "a", ...pins.flatMap((pin) => ["--pin", pin]), "--wait", "--json");

async function textOf(model: string): Promise<string | undefined> {
  const answer = JSON.parse(await a.post("/v1/chat/completions", { model, ...PROMPT })) as {
    choices?: readonly { message: { content: string } }[];
  };
  return answer.choices?.[0]?.message.content;
}

/** Blocks on the disk of what a node keeps of models. */
async function diskBytes(node: TestNode): Promise<number> {
  const shards = join(node.home, "models", ".shards");
  let bytes = 0;
  for (const content of await readdir(shards))
    for (const name of (await readdir(join(shards, content))).filter((each) => each.endsWith(".gguf")))
      bytes += (await stat(join(shards, content, name))).blocks * 512;
  return bytes;
}

test("a model that nobody has comes straight from the hub, each node its part, and answers as one process", async () => {
  const loaded = await load("hf:o/r", "a=0-7", "b=8-15");
  expect(loaded.status, loaded.stderr).toBe(0);
  expect(JSON.parse(loaded.stdout)).toMatchObject({ model: "o/r:Q8_0", state: "ready" });
  const split = await textOf("o/r:Q8_0");
  expect(split).toBeTruthy();
  // Together they have fetched it once: neither has it all.
  expect(hub.sentBytes).toBeLessThan(modelBytes * 1.05 + HEADER_BYTES);
  const [onA, onB] = [await diskBytes(a), await diskBytes(b)];
  expect(onA).toBeLessThan(modelBytes * 0.85);
  expect(onB).toBeLessThan(modelBytes * 0.6);
  expect(onA + onB).toBeLessThan(modelBytes * 1.05 + HEADER_BYTES);

  expect((await a.run("unload", "o/r:Q8_0")).status).toBe(0);
  const whole = await load(join(folder, "made-Q8_0.gguf"), "a=0-15");
  expect(whole.status, whole.stderr).toBe(0);
  expect(await textOf("made-Q8_0")).toBe(split);
  expect((await a.run("unload", "made-Q8_0")).status).toBe(0);
});

test("loaded again, or with other layers on the nodes, only the difference is fetched", async () => {
  const before = hub.sentBytes;
  const again = await load("hf:o/r", "b=0-15");
  expect(again.status, again.stderr).toBe(0);
  expect(await textOf("o/r:Q8_0")).toBeTruthy();
  // The lower half of the layers; from the other node, as that has them.
  expect(hub.sentBytes - before).toBeLessThan(modelBytes * 0.1 + HEADER_BYTES);
  expect(await diskBytes(b)).toBeGreaterThan(modelBytes * 0.5);
});
