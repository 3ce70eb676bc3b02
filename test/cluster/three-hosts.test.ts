import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { StageView } from "../../packages/wire/src/index.ts";
import { makeHosts, type Host } from "./harness/hosts.ts";
import { startNode, type TestNode } from "./harness/node.ts";
import { enginesOf, isAlive } from "./harness/processes.ts";

const QUESTIONS = 20;
const MODEL = "demo-16l-q8_0";

interface Question {
  readonly prompt: string;
  readonly expect: string;
  readonly match: "exact" | "contains";
}

const all = JSON.parse(readFileSync(resolve(import.meta.dirname, "../../models/questions.json"), "utf8")) as Question[];
const questions = Array.from({ length: QUESTIONS }, (_, index) => all[index * Math.floor(all.length / QUESTIONS)]).filter(
  (question) => question !== undefined,
);

/** What of a stage does not change while it runs. */
function placed(stage: StageView): StageView {
  return { ...stage, timing: null, measuredMsPerToken: null };
}

const network = makeHosts(["a", "b", "c", "stranger", "alone"]);
const [hostA, hostB, hostC, hostStranger, hostAlone] = network.hosts as [Host, Host, Host, Host, Host];
const started: TestNode[] = [];
let a: TestNode;
let b: TestNode;
let c: TestNode;
const single = new Map<string, string>();

async function start(host: Host, ...args: string[]): Promise<TestNode> {
  const node = await startNode(host, { args });
  started.push(node);
  return node;
}
async function ask(node: TestNode, prompt: string): Promise<string> {
  const text = await node.post("/v1/chat/completions", {
    model: MODEL,
    messages: [{ role: "user", content: prompt }],
    temperature: 0,
    max_tokens: 900,
  });
  const answer = JSON.parse(text) as { choices?: { message: { content: string } }[] };
  return answer.choices?.[0]?.message.content ?? text;
}

beforeAll(async () => {
  // The same model in one process, on a host of its own: what every split must equal.
  const alone = await start(hostAlone, "--load", "demo", "--no-mdns");
  await alone.until((state) => state.deployments[0]?.state === "ready", "ready alone");
  for (const { prompt } of questions) single.set(prompt, await ask(alone, prompt));
  await alone[Symbol.asyncDispose]();
  a = await start(hostA, "--cluster", "lab");
  await a.event("ready");
});

afterAll(async () => {
  await Promise.all(started.map((node) => node[Symbol.asyncDispose]()));
  network[Symbol.dispose]();
});

describe("three hosts", () => {
  test("one joins by token, one by a code that both screens show", async () => {
    const token = (await a.run("token")).stdout.trim();
    const mesh = network.isolated ? [] : ["--peer", String(((await a.event("ready"))["mesh"] as string[])[0])];
    b = await start(hostB, "--token", token, ...mesh);
    await b.event("admitted");
    c = await start(hostC, ...mesh);
    const { code } = await c.event("pending");
    const waits = await b.until((state) => state.pending.length === 1, "told of the waiting machine");
    expect(waits.pending[0]).toMatchObject({ code, name: "c" });
    expect((await c.state()).nodes.map((node) => node.name)).toEqual(["c"]);
    expect((await b.run("approve", String(code))).status).toBe(0);
    await c.event("admitted");
    for (const node of [a, b, c]) {
      const state = await node.until(
        (now) => now.nodes.filter((each) => each.state === "alive").length === 3,
        "a cluster of three",
      );
      expect(state.cluster.name).toBe("lab");
    }
  });

  test("one model over all three: every node tells the same stages, and the engine's proof agrees", async () => {
    const loaded = await c.run("load", "demo", "--objective", "spread", "--wait", "--json");
    expect(loaded.status, loaded.stderr).toBe(0);
    const state = await a.until((now) => now.deployments[0]?.state === "ready", "ready");
    const stages = state.deployments[0]?.stages ?? [];
    expect(new Set(stages.map((stage) => stage.node)).size).toBe(3);
    expect(stages[0]?.firstLayer).toBe(0);
    expect(stages.at(-1)?.lastLayer).toBe(15);
    stages.slice(1).forEach((stage, index) => expect(stage.firstLayer).toBe((stages[index]?.lastLayer ?? NaN) + 1));
    for (const node of [b, c])
      expect(
        (await node.until((now) => now.deployments[0]?.state === "ready", "ready")).deployments[0]?.stages.map(placed),
      ).toEqual(stages.map(placed));
    // A head is called ready only when llama-server's own log had put every layer where the plan wants it.
    expect(state.deployments[0]).toMatchObject({ model: MODEL, layerCount: 16, epoch: 1 });
  });

  test("every node answers right, and as a single process does", async () => {
    for (const node of [a, b, c]) {
      for (const question of questions) {
        const answer = await ask(node, question.prompt);
        expect(answer, `${node.host.name}: ${question.prompt}`).toBe(single.get(question.prompt));
        if (question.match === "exact") expect(answer).toBe(question.expect);
        else expect(answer).toContain(question.expect);
      }
    }
  });

  test("every remote stage tells where its time goes, and its weights never crossed the network", async () => {
    const { deployments, nodes } = await a.until(
      (now) => now.deployments[0]?.stages.filter((stage) => stage.timing !== null).length === 2,
      "times of both remote stages",
    );
    const head = deployments[0]?.head;
    for (const stage of deployments[0]?.stages ?? []) {
      if (stage.node === head) {
        expect(stage.timing).toBeNull();
        continue;
      }
      expect(stage.timing?.computeMs.p50).toBeGreaterThan(0);
      expect(stage.timing?.computeMs.p95).toBeGreaterThanOrEqual(stage.timing?.computeMs.p50 ?? NaN);
      expect(stage.timing?.steps).toBeGreaterThan(100);
      // A hidden state of 128 floats, positions, the mask: kilobytes.
      expect(stage.timing?.bytesUp).toBeGreaterThan(256);
      expect(stage.timing?.bytesUp).toBeLessThan(32_768);
      // Of tokens guessed ahead some need no result.
      expect(stage.timing?.bytesDown).toBeGreaterThan(128);
      expect(stage.timing?.bytesDown).toBeLessThan(4096);
    }
    const node = [a, b, c].find((candidate) =>
      nodes.some(({ id }) => id === head && candidate.events.some((event) => event["node"] === id)),
    );
    const said = (node?.events ?? []).flatMap((event) => (event.event === "log" ? [String(event["message"])] : []));
    expect(said.filter((message) => message.includes("of weights from its own disk"))).toHaveLength(2);
    expect(said.filter((message) => message.includes("lacks weights"))).toEqual([]);
  });

  test("a node that is not the head streams to the end", async () => {
    const head = (await a.state()).deployments[0]?.head;
    for (const node of [a, b, c]) {
      if ((await node.state()).self === head) continue;
      const stream = await node.post("/v1/chat/completions", {
        model: MODEL,
        messages: [{ role: "user", content: "What is the capital of France?" }],
        temperature: 0,
        stream: true,
      });
      expect(stream.trim().endsWith("data: [DONE]")).toBe(true);
      const text = [...stream.matchAll(/"content":"([^"]*)"/g)].map((match) => match[1]).join("");
      expect(text).toBe("The capital of France is Paris.");
    }
  });

  test("a stranger without the secret gets nothing", async () => {
    const mesh = network.isolated ? [] : ["--peer", String(((await a.event("ready"))["mesh"] as string[])[0])];
    const stranger = await start(hostStranger, ...mesh);
    await stranger.event("pending");
    const state = await stranger.state();
    expect(state).toMatchObject({ cluster: { id: "", name: "" }, deployments: [], pending: [] });
    expect(state.nodes.map((node) => node.name)).toEqual(["stranger"]);
    expect(JSON.stringify(stranger.events)).not.toContain("lab");
    expect((await stranger.run("load", "demo")).status).toBe(6);
    expect((await a.state()).nodes).toHaveLength(3);
    await stranger[Symbol.asyncDispose]();
  });

  test.runIf(network.isolated)("engines listen on loopback only", () => {
    for (const host of [hostA, hostB, hostC]) {
      const [command, args] = host.wrap("ss", ["-Hltnp"]);
      const lines = execFileSync(command, [...args], { encoding: "utf8" }).split("\n");
      const engines = lines.filter((line) => /llama-server|rpc-server/.test(line));
      expect(engines.length).toBeGreaterThan(0);
      for (const line of engines) expect(line).toMatch(/\s127\.0\.0\.1:\d+\s/);
    }
  });

  test("a worker killed mid-stream is named in the stream, the daemons live, and the model comes back", async () => {
    const state = await a.state();
    const head = [a, b, c].find((node) => node.events.some((event) => event["node"] === state.deployments[0]?.head)) as TestNode;
    const worker = [a, b, c].find((node) => node !== head) as TestNode;
    const [engine] = enginesOf(worker.pid);
    const lost = state.deployments[0]?.stages.find((stage) => worker.events.some((event) => event["node"] === stage.node));
    const streaming = worker.post("/v1/chat/completions", {
      model: MODEL,
      messages: [{ role: "user", content: "Count from 1 to 60." }],
      temperature: 0,
      stream: true,
    });
    await new Promise((done) => setTimeout(done, 250));
    expect(engine).toBeDefined();
    process.kill(engine?.pid ?? 0, "SIGKILL");
    const stream = await streaming;
    if (!stream.includes("[DONE]")) {
      expect(stream).toContain('"code":"worker_lost"');
      expect(stream).toContain(`on ${worker.host.name} (layers ${lost?.firstLayer}-${lost?.lastLayer})`);
    }
    const back = await head.until(
      (now) => (now.deployments[0]?.epoch ?? 0) >= 2 && now.deployments[0]?.state === "ready",
      "back",
    );
    expect(back.nodes.filter((node) => node.state === "alive")).toHaveLength(3);
    expect(await ask(worker, "What is the capital of France?")).toBe("The capital of France is Paris.");
  });

  test("unloading and ending leave no process behind, a killed daemon neither", async () => {
    const before = [a, b, c].flatMap((node) => enginesOf(node.pid));
    expect(before.length).toBeGreaterThanOrEqual(3);
    expect((await b.run("unload", "demo")).status).toBe(0);
    for (const engine of before) await expect.poll(() => isAlive(engine.pid), { timeout: 8000 }).toBe(false);
    expect((await a.run("load", "demo", "--objective", "spread", "--wait")).status).toBe(0);
    const engines = enginesOf(c.pid);
    expect(engines.length).toBeGreaterThan(0);
    await c.end("SIGKILL");
    for (const engine of engines) await expect.poll(() => isAlive(engine.pid), { timeout: 5000 }).toBe(false);
    const rest = [a, b].flatMap((node) => enginesOf(node.pid));
    expect(await a.end("SIGINT")).toBe(130);
    expect(await b.end("SIGTERM")).toBe(0);
    for (const engine of rest) await expect.poll(() => isAlive(engine.pid), { timeout: 5000 }).toBe(false);
    expect(readFileSync(join(a.home, "cluster.json"), "utf8")).toContain("lab");
  });
});
