import { readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { resolve } from "node:path";
import type { Placement } from "../../packages/wire/src/index.ts";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Host } from "./harness/hosts.ts";
import { cli, newHome, startNode, type TestNode } from "./harness/node.ts";

const DEMO = resolve(import.meta.dirname, "../../models/demo-16l-q8_0.gguf");
const here: Host = { name: "here", ownPorts: false, wrap: (command, args) => [command, args] };

let hub: Server;
let endpoint: string;
let node: TestNode;

beforeAll(async () => {
  const demo = await readFile(DEMO);
  hub = createServer((request, response) => {
    const [, first, last] = /^bytes=(\d+)-(\d+)$/u.exec(request.headers.range ?? "") ?? [];
    if (request.url?.startsWith("/api/models/some/model/revision/main") === true)
      response.end(JSON.stringify({ sha: "abcdef0", siblings: [{ rfilename: "model-Q8_0.gguf", size: demo.length }] }));
    else if (request.url === "/some/model/resolve/abcdef0/model-Q8_0.gguf" && first !== undefined && last !== undefined) {
      const end = Math.min(Number(last), demo.length - 1);
      response.writeHead(206, { "content-range": `bytes ${first}-${end}/${demo.length}` });
      response.end(demo.subarray(Number(first), end + 1));
    } else response.writeHead(404).end();
  }).listen(0, "127.0.0.1");
  await new Promise((listening) => hub.once("listening", listening));
  endpoint = `http://127.0.0.1:${(hub.address() as AddressInfo).port}`;
  node = await startNode(here, { args: ["--no-mdns", "--memory", "2GB"], env: { HF_ENDPOINT: endpoint } });
  // A founder's answers: before it has founded it is no member and plans nothing.
  await node.until((state) => state.standing.kind === "member", "a member");
});
afterAll(async () => {
  hub.closeAllConnections();
  hub.close();
  await node[Symbol.asyncDispose]();
});

async function planned(args: readonly string[]): Promise<Placement> {
  const ran = await cli(here, ["plan", ...args, "--home", node.home, "--json"]);
  expect(ran.status, ran.stderr).toBe(0);
  return JSON.parse(ran.stdout) as Placement;
}

test("a running cluster plans a catalogued model that nobody has, and does not load it", async () => {
  const plan = await planned(["qwen3-0.6b:q8_0", "--prompt", "100", "--ctx", "1024"]);
  expect(plan).toMatchObject({ feasible: true, context: 1024, model: { name: "qwen3-0.6b:Q8_0", layerCount: 28 } });
  expect(plan.predicted.promptTokens).toBe(100);
  expect(plan.notes.join(" ")).toMatch(/No node has this model yet/u);
  const load = await cli(here, ["load", "qwen3-0.6b", "--home", node.home]);
  expect(load.status).toBe(4);
  expect(load.stderr).toMatch(/No node has qwen3-0\.6b/u);
});

test("and a model on a hub by its header alone, as a plan without a daemon does", async () => {
  const live = await planned(["hf:some/model"]);
  expect(live).toMatchObject({ feasible: true, model: { layerCount: 16 } });
  const home = await newHome("what-if");
  const inventory = `${home}.json`;
  await writeFile(inventory, JSON.stringify({ nodes: [{ name: "pi", memoryBytes: 4e9, bandwidthBytesPerSecond: 1e10 }] }));
  const asked = ["plan", "hf:some/model:Q8_0", "--nodes", inventory, "--home", home, "--json"];
  const offline = await cli(here, asked, { HF_ENDPOINT: endpoint });
  expect(offline.status, offline.stderr).toBe(0);
  expect((JSON.parse(offline.stdout) as Placement).model).toEqual(live.model);
  const other = await cli(here, ["plan", "hf:some/model:Q2_K", "--nodes", inventory, "--home", home], { HF_ENDPOINT: endpoint });
  expect(other.status).toBe(4);
  expect(other.stderr).toMatch(/Q8_0/u);
});

test("what fits into its memory is told, with what is missing for the rest", async () => {
  const ran = await cli(here, ["plan", "--fits", "--home", node.home, "--json"]);
  expect(ran.status, ran.stderr).toBe(0);
  const { fits, doesNotFit } = JSON.parse(ran.stdout) as {
    fits: { model: string; bytes: number }[];
    doesNotFit: { model: string; shortByBytes: number }[];
  };
  expect(fits.map(({ model }) => model)).toContain("qwen2.5-0.5b");
  expect(fits.every(({ bytes }) => bytes < 2e9)).toBe(true);
  expect(doesNotFit.find(({ model }) => model === "llama-3.3-70b")?.shortByBytes).toBeGreaterThan(10e9);
  const screen = await cli(here, ["plan", "--fits", "--home", node.home]);
  expect(screen.stdout).toMatch(/well-known models on 1 node/u);
});

test("what makes no sense together is refused in words", async () => {
  const both = await cli(here, ["plan", "demo", "--fits", "--home", node.home]);
  expect([both.status, both.stderr]).toEqual([2, expect.stringMatching(/takes no REF/u)]);
  const pinned = await cli(here, ["plan", "--fits", "--top", "2", "--home", node.home]);
  expect([pinned.status, pinned.stderr]).toEqual([2, expect.stringMatching(/--top/u)]);
  const neither = await cli(here, ["plan", "--home", node.home]);
  expect([neither.status, neither.stderr]).toEqual([2, expect.stringMatching(/needs REF/u)]);
});
