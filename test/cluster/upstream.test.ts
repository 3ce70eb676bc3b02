import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { farChunks, startUpstream, type FakeUpstream } from "../../packages/gateway/src/testing/fake-upstream.ts";
import type { Host } from "./harness/hosts.ts";
import { startNode, type TestNode } from "./harness/node.ts";

const KEY = "sk-far-3f9d1c5e7b";
const MODELS = { far: "gpt-far", broken: "gpt-broken", shut: "gpt-shut", cut: "gpt-cut" };
const WORDS = ["It", " is", " far", " away."];
const PATH = "/v1/chat/completions";
const here = (name: string): Host => ({ name, ownPorts: false, wrap: (command, args) => [command, args] });

let folder: string;
let far: FakeUpstream;
/** Has the upstream. */
let a: TestNode;
/** Has none. */
let b: TestNode;
let accessLog: string;
/** All that clients were ever told. */
const told: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-upstream-"));
  far = await startUpstream((answer, { body, headers }) => {
    // One that tells everyone what it was told.
    const refusal = JSON.stringify({ error: { message: `I was sent ${headers.authorization}`, code: "secrets" } });
    const events = farChunks(WORDS).map((data) => `data: ${data}\n\n`);
    if (body["model"] === "gpt-broken") answer.writeHead(500, { "content-type": "application/json" }).end(refusal);
    else if (body["model"] === "gpt-shut") answer.writeHead(401, { "content-type": "application/json" }).end(refusal);
    else {
      answer.writeHead(200, { "content-type": "text/event-stream", "x-told": String(headers.authorization) });
      if (body["model"] === "gpt-far") answer.end(events.join(""));
      else answer.write(events.slice(0, 3).join(""), () => answer.destroy());
    }
  });
  accessLog = join(folder, "access.log");
  await writeFile(join(folder, "key"), `${KEY}\n`, { mode: 0o600 });
  const upstreams = [{ name: "cloud", baseUrl: far.url, apiKeyFile: "key", models: MODELS }];
  await writeFile(join(folder, "upstream.json"), JSON.stringify({ upstreams }), { mode: 0o600 });
  const own = ["--upstream", join(folder, "upstream.json"), "--access-log", accessLog];
  a = await startNode(here("a"), { args: ["--no-mdns", "--cluster", "far", ...own] });
  const [address] = (await a.event("ready"))["mesh"] as string[];
  const token = (await a.run("token")).stdout.trim();
  b = await startNode(here("b"), { args: ["--no-mdns", "--token", token, "--peer", String(address)] });
  await b.event("admitted");
  await a.until((state) => state.nodes.filter((node) => node.state === "alive").length === 2, "a cluster of two");
  const loaded = await a.run("load", "demo", "--wait");
  expect(loaded.status, loaded.stderr).toBe(0);
});
afterAll(async () => {
  await Promise.all([a, b].map((node) => node?.[Symbol.asyncDispose]()));
  await far?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** What a client gets, its headers first. */
async function ask(node: TestNode, model: string, changes: object = {}): Promise<string> {
  const body = { model, messages: [{ role: "user", content: "What is the capital of France?" }], temperature: 0, ...changes };
  const text = await node.post(PATH, body, "-i");
  told.push(text);
  return text;
}
const bodyOf = (text: string): unknown => JSON.parse(text.slice(text.indexOf("\r\n\r\n")));

test("a model that nobody has goes to the upstream, with its key, and its answer says where it is from", async () => {
  const text = await ask(a, "far");
  expect(text).toMatch(/^HTTP\/1\.1 200 /u);
  expect(text).toMatch(/^x-clusterd-upstream: cloud\r$/mu);
  expect(text).not.toContain("x-told");
  expect(bodyOf(text)).toMatchObject({ choices: [{ message: { content: WORDS.join("") }, finish_reason: "stop" }] });
  expect(far.requests.at(-1)).toMatchObject({
    path: PATH,
    headers: { authorization: `Bearer ${KEY}` },
    body: { model: "gpt-far" },
  });
});

test("its stream passes, word for word, to its end", async () => {
  const text = await ask(a, "far", { stream: true });
  const contents = [...text.matchAll(/^data: (\{.*\})$/gmu)].map(
    ([, data]) => (JSON.parse(data ?? "") as { choices: { delta: { content?: string } }[] }).choices[0]?.delta.content ?? "",
  );
  expect(contents.filter((content) => content !== "")).toEqual(WORDS);
  expect(text.trimEnd()).toMatch(/data: \[DONE\]$/u);
});

test.each(["broken", "shut"])("its refusal is one of ours, and says nothing of what it said (%s)", async (model) => {
  const asked = far.requests.length;
  const text = await ask(a, model);
  expect(text).toMatch(/^HTTP\/1\.1 502 /u);
  expect(bodyOf(text)).toMatchObject({ error: { code: "upstream_failed", message: expect.stringContaining("cloud") } });
  expect(far.requests.length).toBeGreaterThan(asked);
});

test("a stream that it breaks off ends in an error", async () => {
  const text = await ask(a, "cut", { stream: true });
  expect(text).toContain('"content":"It"');
  expect(text).not.toContain("[DONE]");
  expect(text.trimEnd().split("\n").at(-1)).toMatch(/^data: \{"error":\{.*upstream_failed/u);
});

test("what the cluster has stays in it, and a node without an upstream asks none", async () => {
  const asked = far.requests.length;
  expect(bodyOf(await ask(a, "demo"))).toMatchObject({
    choices: [{ message: { content: "The capital of France is Paris." } }],
  });
  expect(await ask(b, "far")).toMatch(/^HTTP\/1\.1 404 /u);
  expect(await ask(a, "nobody-has-this")).toMatch(/^HTTP\/1\.1 404 /u);
  expect(far.requests.length).toBe(asked);
});

test("its key is nowhere to be seen: not by clients, in the state, in logs, in metrics, or on another node", async () => {
  const seen = [
    ...told,
    JSON.stringify([a.events, b.events]),
    JSON.stringify([await a.state(), await b.state()]),
    (await a.run("logs")).stdout,
    (await b.run("logs")).stdout,
    (await a.run("status")).stdout,
    await readFile(accessLog, "utf8"),
    await a.post("/metrics", {}, "-X", "GET"),
  ];
  // They are there to be looked at: what may be told is.
  expect(seen.filter((text) => text.includes("cloud")).length).toBeGreaterThan(5);
  for (const text of seen) {
    expect(text).not.toBe("");
    expect(text.includes(KEY)).toBe(false);
    expect(text.includes("I was sent")).toBe(false);
  }
});
