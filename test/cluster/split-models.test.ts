import { execFileSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestHub, type TestHub } from "../../packages/catalog/src/testing/hub-server.ts";
import type { Host } from "./harness/hosts.ts";
import { startNode, type TestNode } from "./harness/node.ts";

const MAKE_MODEL = resolve(import.meta.dirname, "../../scripts/make-model.ts");
const hostNamed = (name: string): Host => ({ name, ownPorts: false, wrap: (command, args) => [command, args] });
const SHAPE = ["--layers", "12", "--width", "256"];
const PINS = ["--head", "a", "--pin", "a=0-3", "--pin", "b=4-7", "--pin", "c=8-11"];
/** Several: random weights may have nothing to say to one of them. */
const QUESTIONS = ["Tell me of the sea.", "What is the capital of France?", "Count to ten.", "Who are you?"];

/** A PNG of one red pixel. */
const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";

let folder: string;
let hub: TestHub;
let nodes: readonly TestNode[] = [];
let a: TestNode;
let held: string;
let parts: readonly string[];

const make = (path: string, ...words: string[]): void =>
  void execFileSync(process.execPath, [MAKE_MODEL, path, ...SHAPE, ...words], { stdio: "ignore" });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-split-"));
  make(join(folder, "held.gguf"), "--split", "3");
  make(join(folder, "far-Q8_0.gguf"), "--split", "4", "--split-header", "--seed", "2");
  // The same two in one file each, to compare with: a single process's answers.
  make(join(folder, "held-whole.gguf"));
  make(join(folder, "far-whole.gguf"), "--seed", "2");
  parts = (await readdir(folder)).filter((name) => /^held-\d/u.test(name)).toSorted();
  held = join(folder, parts[1] ?? "");
  const far = (await readdir(folder)).filter((name) => /^far-Q8_0-\d/u.test(name));
  make(join(folder, "mmproj-F16.gguf"), "--projector", "--type", "f16");
  const files = Object.fromEntries(
    await Promise.all(far.map(async (name) => [`Q8_0/${name}`, await readFile(join(folder, name))] as const)),
  );
  hub = await startTestHub({ files: { ...files, "mmproj-F16.gguf": await readFile(join(folder, "mmproj-F16.gguf")) } });
  const env = { HF_ENDPOINT: hub.endpoint };
  a = await startNode(hostNamed("a"), { args: ["--no-mdns", "--cluster", "split"], env });
  const [address] = (await a.event("ready"))["mesh"] as string[];
  const token = (await a.run("token")).stdout.trim();
  const others = await Promise.all(
    ["b", "c"].map((name) =>
      startNode(hostNamed(name), { args: ["--no-mdns", "--token", token, "--peer", String(address)], env }),
    ),
  );
  nodes = [a, ...others];
  await a.until((state) => state.nodes.filter((node) => node.state === "alive").length === 3, "a cluster of three");
});
afterAll(async () => {
  await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()));
  await hub?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function textOf(model: string): Promise<string> {
  const texts: string[] = [];
  for (const content of QUESTIONS) {
    const body = { model, messages: [{ role: "user", content }], temperature: 0, max_tokens: 8 };
    const answer = await a.post("/v1/chat/completions", body);
    const { choices } = JSON.parse(answer) as { choices?: readonly { message: { content: string } }[] };
    expect(choices, answer).toHaveLength(1);
    texts.push(choices?.[0]?.message.content ?? "");
  }
  return texts.join("\n");
}

/** Tokens of a prompt with a picture in it; 0 where the model sees nothing. */
async function pictureTokens(model: string): Promise<number> {
  const content = [{ type: "image_url", image_url: { url: `data:image/png;base64,${PIXEL}` } }];
  const answer = await a.post("/v1/chat/completions", { model, messages: [{ role: "user", content }], max_tokens: 1 });
  return (JSON.parse(answer) as { usage?: { prompt_tokens: number } }).usage?.prompt_tokens ?? 0;
}

/** What a single process answers with the same weights in one file. */
async function wholeAnswer(name: string): Promise<string> {
  const loaded = await a.run("load", join(folder, `${name}.gguf`), "--head", "a", "--pin", "a=0-11", "--ctx", "256", "--wait");
  expect(loaded.status, loaded.stderr).toBe(0);
  const text = await textOf(name);
  expect((await a.run("unload", name)).status).toBe(0);
  return text;
}

const said = (node: TestNode, pattern: RegExp, since = 0): readonly string[] =>
  node.events
    .slice(since)
    .flatMap((event) => (event.event === "log" ? [String(event["message"])] : []))
    .filter((line) => pattern.test(line));

/** Blocks on the disk of what a node keeps of models, by file. */
async function diskBytes(node: TestNode): Promise<ReadonlyMap<string, number>> {
  const shards = join(node.home, "models", ".shards");
  const found = new Map<string, number>();
  for (const content of await readdir(shards).catch(() => []))
    for (const name of (await readdir(join(shards, content))).filter((each) => each.endsWith(".gguf")))
      found.set(name, (await stat(join(shards, content, name))).blocks * 512);
  return found;
}

test("loaded by its second part from the one node that has it: each other node takes its layers from the right parts", async () => {
  const loaded = await a.run("load", held, ...PINS, "--ctx", "256", "--wait", "--json");
  expect(loaded.status, loaded.stderr).toBe(0);
  expect(JSON.parse(loaded.stdout)).toMatchObject({ model: "held", state: "ready" });
  const text = await textOf("held");
  expect(text.trim()).not.toBe("");
  // Every tensor from the worker's own disk, none over the wire.
  expect(said(a, /has \d+ bytes of weights from its own disk/u)).toHaveLength(2);
  expect(said(a, /lacks weights/u)).toEqual([]);
  for (const node of nodes.slice(1)) {
    const kept = await diskBytes(node);
    expect([...kept.keys()].toSorted()).toEqual(parts);
    const whole = (await Promise.all(parts.map(async (name) => (await stat(join(folder, name))).size))).reduce((x, y) => x + y);
    expect([...kept.values()].reduce((x, y) => x + y)).toBeLessThan(whole * 0.7);
  }
  expect((await a.run("unload", held)).status).toBe(0);
  expect(await wholeAnswer("held-whole")).toBe(text);
});

test("a split model that nobody has comes from the hub, each node its part; the head's holes lie in several files", async () => {
  const since = a.events.length;
  const loaded = await a.run("load", "hf:o/r", ...PINS, "--ctx", "256", "--wait", "--json");
  expect(loaded.status, loaded.stderr).toBe(0);
  expect(JSON.parse(loaded.stdout)).toMatchObject({ model: "o/r:Q8_0", state: "ready" });
  const text = await textOf("hf:o/r");
  expect(text.trim()).not.toBe("");
  expect(said(a, /has \d+ bytes of weights from its own disk/u, since)).toHaveLength(2);
  expect(said(a, /lacks weights/u, since)).toEqual([]);
  // The head got what lets it see, the others did not.
  expect(await pictureTokens("hf:o/r")).toBeGreaterThan(0);
  const seeing = await Promise.all(nodes.map(async (node) => [...(await diskBytes(node)).keys()].includes("mmproj-F16.gguf")));
  expect(seeing).toEqual([true, false, false]);
  expect((await a.run("unload", "hf:o/r")).status).toBe(0);
  expect(await wholeAnswer("far-whole")).toBe(text);
});

test("parts that are missing or in each other's place are refused by name before anything starts", async () => {
  const [first = "", second = "", third = ""] = parts.map((name) => join(folder, name));
  await rename(third, `${third}.away`);
  const missing = await a.run("load", first, "--json");
  expect(missing.status).not.toBe(0);
  expect(missing.stderr).toMatch(/1 of the model's 3 parts is missing: held-00003-of-00003\.gguf/u);
  await rename(second, third);
  await rename(`${third}.away`, second);
  const mixed = await a.run("load", third, "--json");
  expect(mixed.status).not.toBe(0);
  expect(mixed.stderr).toMatch(/held-00002-of-00003\.gguf: its name says part 2 of 3, its header says part 3 of 3/u);
  expect((await a.state()).deployments).toEqual([]);
  // Its control.
  await rename(second, `${third}.away`);
  await rename(third, second);
  await rename(`${third}.away`, third);
  expect((await a.run("plan", third, "--json")).status).toBe(0);
});

test("pulled, a split model and what lets it see lie here under all its names, are loaded by any of them, and go together", async () => {
  const events = (await a.run("pull", "o/r", "--json")).stdout.trim().split("\n");
  const done = JSON.parse(events.at(-1) ?? "{}") as { event?: string; model?: string; path?: string };
  expect(done).toMatchObject({ event: "done", model: "o/r:Q8_0" });
  const path = String(done.path);
  const lying = await readdir(join(path, ".."));
  expect(lying.filter((name) => name.startsWith("far-"))).toHaveLength(4);
  const listed = JSON.parse((await a.run("models", "--json")).stdout) as {
    models: readonly { id: string; sources?: readonly string[]; path?: string }[];
  };
  const here = listed.models.find(({ id }) => id === "o/r:Q8_0");
  expect(here?.sources).toContain("pulled");
  expect(here?.path).toBe(path);
  const loaded = await a.run(
    "load",
    path.replace("-00001-", "-00003-"),
    "--head",
    "a",
    "--pin",
    "a=0-11",
    "--ctx",
    "256",
    "--wait",
  );
  expect(loaded.status, loaded.stderr).toBe(0);
  const answers = await Promise.all(["hf:o/r", "O/R", "o/r:q8_0", path, "hf:o/r@main"].map((name) => textOf(name)));
  expect(new Set(answers).size).toBe(1);
  expect(answers[0]?.trim()).not.toBe("");
  expect(await pictureTokens("o/r")).toBeGreaterThan(0);
  const elsewhere = await a.post("/v1/chat/completions", { model: "hf:o/r@v1", messages: [{ role: "user", content: "Hello" }] });
  expect(elsewhere).toContain("model_not_found");
  expect((await a.run("rm", "hf:o/r")).status).not.toBe(0);
  expect((await a.run("unload", "o/r")).status).toBe(0);
  expect((await a.run("rm", "o/r")).status).toBe(0);
  expect((await readdir(join(a.home, "models", "o", "r"), { recursive: true })).filter((name) => name.endsWith(".gguf"))).toEqual(
    [],
  );
});
