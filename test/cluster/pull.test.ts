import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestHub, type TestHub } from "../../packages/catalog/src/testing/hub-server.ts";
import type { Host } from "./harness/hosts.ts";
import { cli, startNode, type TestNode } from "./harness/node.ts";

const DEMO = resolve(import.meta.dirname, "../../models/demo-16l-q8_0.gguf");
const here: Host = { name: "here", ownPorts: false, wrap: (command, args) => [command, args] };

let hub: TestHub;
let node: TestNode;
let demo: Buffer;

beforeAll(async () => {
  demo = await readFile(DEMO);
  // Slow enough for a command to be stopped on the way.
  hub = await startTestHub({ files: { "demo-Q8_0.gguf": demo }, bytesPerSecond: demo.length / 3 });
  node = await startNode(here, { args: ["--no-mdns"], env: { HF_ENDPOINT: hub.endpoint } });
  await node.until((state) => state.standing.kind === "member", "a member");
});
afterAll(async () => {
  await node[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

const run = (...args: string[]): ReturnType<typeof cli> => cli(here, [...args, "--home", node.home]);

test("a pull survives its command, is one for all who ask, and shows where the rest looks", async () => {
  const first = run("pull", "hf:o/r", "--json");
  const state = await node.until(({ pulls = [] }) => pulls.some(({ doneBytes }) => doneBytes > 0), "fetching");
  expect(state.pulls?.[0]).toMatchObject({ ref: "hf:o/r", step: "fetching", totalBytes: demo.length });
  const second = run("pull", "HF:o/r".toLowerCase(), "--json");
  const lines = (await first).stdout.trim().split("\n");
  const events = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(events.slice(0, -1).every(({ event }) => event === "progress")).toBe(true);
  expect(events.length).toBeGreaterThan(1);
  const path = join(node.home, "models/o/r/demo-Q8_0.gguf");
  expect(events.at(-1)).toMatchObject({ event: "done", model: "o/r:Q8_0", path, bytes: demo.length });
  expect((await second).stdout.trim().split("\n").at(-1)).toBe(lines.at(-1));
  expect((await readFile(path)).equals(demo)).toBe(true);
  expect(hub.sentBytes).toBe(demo.length);
  expect((await node.state()).pulls).toEqual([]);
});

test("what was pulled is loaded by its REF, and is not deleted while it runs", async () => {
  const loaded = await run("load", "hf:o/r:q8_0", "--wait");
  expect(loaded.status, loaded.stderr).toBe(0);
  const answer = JSON.parse(
    await node.post("/v1/chat/completions", { model: "o/r:Q8_0", messages: [{ role: "user", content: "Hello" }], max_tokens: 4 }),
  ) as { choices: readonly { message: { content: string } }[] };
  expect(answer.choices[0]?.message.content).not.toBe("");
  const refused = await run("rm", "hf:o/r");
  expect(refused.status).not.toBe(0);
  expect(refused.stderr).toMatch(/unload/u);
  expect((await run("unload", "hf:o/r")).status).toBe(0);
  const removed = await run("rm", "hf:o/r", "--json");
  // It was whole: of parts nothing is said.
  expect(JSON.parse(removed.stdout)).toEqual({ model: "o/r:Q8_0", bytes: demo.length, removed: true });
  expect((await run("rm", "hf:o/r")).status).toBe(4);
});

test("cancelled, it stops; asked again, it goes on; what is not there is said with its code", async () => {
  const begun = run("pull", "hf:o/r", "--json");
  await node.until(({ pulls = [] }) => pulls.some(({ doneBytes }) => doneBytes > 0), "fetching");
  const cancelled = await run("pull", "hf:o/r", "--cancel", "--json");
  expect(JSON.parse(cancelled.stdout)).toEqual({ event: "cancelled", model: "hf:o/r" });
  expect((await begun).status).toBe(130);
  expect((await run("pull", "hf:o/r", "--cancel")).status).toBe(4);
  expect((await run("pull", "hf:o/nothing")).status).toBe(4);
  expect((await run("pull", "hf:not a ref")).status).toBe(2);
  const again = await run("pull", "hf:o/r");
  expect(again.stdout).toMatch(/is here: .*sha256 [0-9a-f]{64}/u);
});
