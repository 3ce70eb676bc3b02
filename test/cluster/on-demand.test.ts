import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ClusterState, DeploymentView } from "../../packages/wire/src/index.ts";
import { openDoor } from "../clients/harness/door.ts";
import { makeHosts, type Host } from "./harness/hosts.ts";
import { writeVariant } from "./harness/model-copies.ts";
import { newHome, startNode, type TestNode } from "./harness/node.ts";

const MAKE_MODEL = resolve(import.meta.dirname, "../../scripts/make-model.ts");
/** Room for one small model beside the engine's own needs, not for two. */
const HEAD_MEMORY = "100MB";
/** Weights that a slow link takes a while for. */
const LARGE = ["--layers", "16", "--width", "512"];
const LINK_RATE = "30mbit";
const CHAT = "/v1/chat/completions";

const network = makeHosts(["a", "b", "c", "d"]);
const [hostA, hostB, hostC, hostD] = network.hosts as [Host, Host, Host, Host];
let models: string;
/** The founder, with room for layers; the one that has the files; one that keeps nothing for long. */
let worker: TestNode;
let holder: TestNode;
let brief: TestNode;
let joining: readonly string[];
const all = (): readonly TestNode[] => [worker, holder, brief];

const of = ({ deployments }: ClusterState, model: string): DeploymentView | undefined =>
  deployments.find((deployment) => deployment.model === model);
const gone = (model: string) => (state: ClusterState) => of(state, model) === undefined;

function question(model: string, more: object = {}): object {
  const messages = [{ role: "user", content: "What is the capital of France?" }];
  return { model, messages, temperature: 0, max_tokens: 40, ...more };
}
/** The status, and the answer's text or the error's. */
async function ask(node: TestNode, model: string, ...words: string[]): Promise<readonly [status: number, text: string]> {
  const text = await node.post(CHAT, question(model), "-w", "\n%{http_code}", ...words);
  const [body, status] = [text.slice(0, text.lastIndexOf("\n")), text.slice(text.lastIndexOf("\n") + 1)];
  const answer = JSON.parse(body) as { choices?: { message: { content: string } }[]; error?: { message: string } };
  return [Number(status), answer.choices?.[0]?.message.content ?? answer.error?.message ?? body];
}
/** The demo model's token that ends a text: out of reach, an answer goes on until the context is full. */
const ENDLESS = { logit_bias: { "1279": -100 } };
/** Longer than a stream is silent. */
const STREAM_WAITS_MS = 5_000;
const WAIT = ["-H", "prefer: wait=60"];
const PARIS = [200, "The capital of France is Paris."];

beforeAll(async () => {
  models = await mkdtemp(join(tmpdir(), "clusterd-demand-"));
  const home = await newHome("c");
  await writeVariant(join(home, "models"), "alpha");
  await writeVariant(join(home, "models"), "beta");
  const make = (name: string, ...words: string[]): Buffer =>
    execFileSync(process.execPath, [MAKE_MODEL, join(home, "models", `${name}.gguf`), ...words], { stdio: "pipe" });
  make("large", ...LARGE);
  make("huge", "--preset", "llama-3.1-8b", "--header-only");
  worker = await startNode(hostA, { args: ["--cluster", "demand", "--memory", "300MB"] });
  const [address] = (await worker.event("ready"))["mesh"] as string[];
  const token = (await worker.run("token")).stdout.trim();
  joining = ["--token", token, ...(network.isolated ? [] : ["--peer", String(address)])];
  [brief, holder] = await Promise.all([
    startNode(hostB, { args: [...joining, "--memory", "1MB", "--keep-alive", "1s"] }),
    startNode(hostC, { home, args: [...joining, "--memory", HEAD_MEMORY] }),
  ]);
  await Promise.all([brief, holder].map((node) => node.event("admitted")));
  const whole = (state: ClusterState): boolean => state.nodes.filter(({ state: now }) => now === "alive").length === all().length;
  await Promise.all(all().map((node) => node.until((state) => whole(state) && state.models.length >= 5, "a whole cluster")));
});

afterAll(async () => {
  await Promise.all(all().map((node) => node?.[Symbol.asyncDispose]()));
  network[Symbol.dispose]();
  await rm(models, { recursive: true, force: true });
});

test("many ask at once, at several nodes, for a model that one of them has: it is loaded once, and answers all", async () => {
  const answers = await Promise.all([worker, holder, worker, holder, worker, holder].map((node) => ask(node, "alpha", ...WAIT)));
  expect(answers).toEqual(answers.map(() => PARIS));
  const state = await worker.state();
  expect(state.deployments.map(({ model, epoch }) => [model, epoch])).toEqual([["alpha", 1]]);
  expect(state.nodes.find(({ id }) => id === of(state, "alpha")?.head)?.name).toBe("c");
});

test("what a request loaded is shown with its end, and makes room for another; asked for again, it comes back", async () => {
  const [alpha, ps] = [of(await worker.state(), "alpha"), (await brief.run("ps")).stdout];
  expect(alpha?.onDemand).toMatchObject({ keepAliveSeconds: 1800, idle: true, until: expect.any(Number) });
  expect(ps).toMatch(/loaded by a request · unloaded at .+ unless it is used/);
  for (const [wanted, other] of [
    ["beta", "alpha"],
    ["alpha", "beta"],
  ] as const) {
    expect(await ask(holder, wanted, ...WAIT)).toEqual(PARIS);
    expect((await worker.state()).deployments.map(({ model }) => model)).toEqual([wanted]);
    expect((await worker.until(gone(other), "rid of the other")).deployments).toHaveLength(1);
  }
});

test("what works is never sent away: the other waits for it, and is told so", async () => {
  const over = new AbortController();
  // Two at a time for one slot: as one has its answer the other has its turn.
  const busy = [1, 2].map(async () => {
    while (!over.signal.aborted)
      expect(await holder.post(CHAT, { ...question("alpha"), ...ENDLESS, max_tokens: 64 })).toContain('"length"');
  });
  try {
    await holder.until((state) => of(state, "alpha")?.onDemand?.idle === false, "at work");
    const refused = async (): Promise<unknown> => ask(worker, "beta", "-H", "prefer: wait=4");
    await expect.poll(refused, { timeout: 60_000 }).toEqual([503, expect.stringContaining("beside alpha, at work now")]);
    const waiting = worker.post(CHAT, { ...question("beta"), stream: true });
    await new Promise((done) => setTimeout(done, STREAM_WAITS_MS));
    over.abort();
    expect(await waiting).toMatch(/^: beta waits for room: it does not fit beside alpha, at work now[^]*data: \[DONE\]/m);
  } finally {
    over.abort();
    await Promise.all(busy);
  }
});

test("what a person loaded stays: the refusal says what would make room, and load makes it a person's", async () => {
  expect((await holder.run("load", "beta", "--wait")).status).toBe(0);
  await worker.until((state) => of(state, "beta")?.onDemand === null, "a person's");
  const [status, message] = await ask(worker, "alpha", ...WAIT);
  expect([status, message]).toEqual([
    422,
    expect.stringMatching(/alpha does not fit.*Unloading beta makes room.*clusterd unload beta/),
  ]);
  // Told again without another plan, and to the people as well.
  expect((await ask(worker, "alpha", ...WAIT))[0]).toBe(422);
  const plan = await holder.run("load", "alpha");
  expect([plan.status, plan.stderr]).toEqual([5, expect.stringContaining("clusterd unload beta")]);
  expect((await holder.run("unload", "beta")).status).toBe(0);
});

test("what does not fit at all is refused with the planner's numbers", async () => {
  expect(await ask(worker, "huge", ...WAIT)).toEqual([422, expect.stringMatching(/huge does not fit: it needs .* GB.*short by/)]);
});

test("idle for its time it goes; by the node that took the request, and at once where the request says so", async () => {
  expect(await ask(brief, "beta", ...WAIT)).toEqual(PARIS);
  await holder.until(gone("beta"), "rid of beta");
});

test("a node may be told to load nothing on request", async () => {
  await using opted = await startNode(hostD, { args: [...joining, "--memory", "1MB", "--no-load-on-request"] });
  await opted.until((state) => state.models.length >= 5, "told of the models");
  expect(await ask(opted, "beta", ...WAIT)).toEqual([404, expect.stringContaining("There is no model")]);
  // What another node's request loads, it serves as any.
  expect(await ask(holder, "beta", ...WAIT)).toEqual(PARIS);
  expect(await ask(opted, "beta")).toEqual(PARIS);
});

test("over a slow link: the official client comes back and has its answer, a stream is told how far it is", async () => {
  hostC.link?.limit(LINK_RATE);
  const stream = worker.post(CHAT, { ...question("large"), stream: true, max_tokens: 4 });
  const { hostname, port } = new URL(String((await holder.event("ready"))["api"]));
  await using door = await openDoor(hostC, hostname, Number(port));
  const statuses: number[] = [];
  const client = new OpenAI({
    baseURL: `${door.url}/v1`,
    apiKey: "none",
    async fetch(url, init) {
      const response = await fetch(url, init);
      statuses.push(response.status);
      return response;
    },
  });
  const messages = [{ role: "user" as const, content: "Hello" }];
  const answer = await client.chat.completions.create({ model: "large", messages, max_tokens: 4 });
  expect(answer.choices[0]?.message.content).toEqual(expect.any(String));
  expect([statuses[0], statuses.at(-1)]).toEqual([503, 200]);
  const told = await stream;
  expect(told).toMatch(/^: (?:fetching|loading) \d+ %/m);
  expect(told).toMatch(/^: (?:fetching|loading) \d+ %, about \d+ s left$/m);
  expect(told).toContain("data: [DONE]");
});
