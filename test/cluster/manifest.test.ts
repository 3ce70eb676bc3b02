import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestHub, type TestHub } from "../../packages/catalog/src/testing/hub-server.ts";
import type { ModelTensors } from "../../packages/wire/src/index.ts";
import type { Host } from "./harness/hosts.ts";
import { writeVariant } from "./harness/model-copies.ts";
import { startNode, type TestNode } from "./harness/node.ts";

const MODEL = "o/r:Q8_0";
const here = (name: string): Host => ({ name, ownPorts: false, wrap: (command, args) => [command, args] });

let folder: string;
let hub: TestHub;
/** Not the bundled model: of that every node has a file. */
let demo: Buffer;
let head: TestNode;
let worker: TestNode;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-manifest-"));
  demo = await readFile(await writeVariant(folder, "pulled"));
  hub = await startTestHub({ files: { "demo-Q8_0.gguf": demo } });
  head = await startNode(here("head"), { args: ["--no-mdns", "--cluster", "manifest"], env: { HF_ENDPOINT: hub.endpoint } });
  const [address] = (await head.event("ready"))["mesh"] as string[];
  const token = (await head.run("token")).stdout.trim();
  worker = await startNode(here("worker"), { args: ["--no-mdns", "--token", token, "--peer", String(address)] });
  await worker.event("admitted");
  await head.until((state) => state.nodes.filter((node) => node.state === "alive").length === 2, "a cluster of two");
});
afterAll(async () => {
  await Promise.all([head, worker].map((node) => node?.[Symbol.asyncDispose]()));
  await hub?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function tensorsAt(node: TestNode, model: string): Promise<ModelTensors> {
  const ran = await node.run("models", model, "--tensors", "--json");
  expect(ran.status, ran.stderr).toBe(0);
  return JSON.parse(ran.stdout) as ModelTensors;
}
const kept = (node: TestNode): Promise<readonly string[]> => readdir(join(node.home, "cache", "manifests")).catch(() => []);

test("what was pulled is known tensor by tensor, and nodes that fetch a part of it are told", async () => {
  expect((await head.run("pull", "hf:o/r")).status).toBe(0);
  // Read through in the background, as there is time.
  await expect.poll(() => kept(head), { timeout: 60_000 }).toHaveLength(1);
  const own = await tensorsAt(head, MODEL);
  expect(own.source).toBe("hub");
  expect(own.parts).toMatchObject([{ bytes: demo.length, sha256: createHash("sha256").update(demo).digest("hex") }]);
  for (const { name, offset, bytes, sha256 } of own.tensors) {
    const content = demo.subarray(offset, offset + bytes);
    const wanted = content.every((byte) => byte === 0) ? null : createHash("sha256").update(content).digest("hex");
    expect(sha256, name).toBe(wanted);
  }
  const shown = await head.run("models", MODEL, "--tensors");
  expect(shown.stdout).toContain("found to be what the hub says");

  const pins = ["--pin", "head=0-7", "--pin", "worker=8-15"];
  const loaded = await head.run("load", MODEL, "--head", "head", ...pins, "--wait");
  expect(loaded.status, loaded.stderr).toBe(0);
  const [contentId = ""] = await kept(worker);
  expect(contentId).toBe(`${own.contentId}.json`);
  expect(await tensorsAt(worker, MODEL)).toMatchObject({ source: "member", tensors: own.tensors });
  const answer = await worker.post("/v1/chat/completions", {
    model: MODEL,
    messages: [{ role: "user", content: "What is the capital of France?" }],
    temperature: 0,
  });
  expect(answer).toContain("The capital of France is Paris.");
});

test("who asks for what there is not is told so", async () => {
  const nobodys = await worker.run("models", "hf:nobody/nothing:Q8_0", "--tensors");
  expect([nobodys.status, nobodys.stdout]).toEqual([4, ""]);
  expect((await worker.run("models", "--tensors")).status).toBe(2);
  expect((await worker.run("models", MODEL)).status).toBe(2);
});
