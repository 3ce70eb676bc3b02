import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { DeploymentView } from "../../packages/wire/src/index.ts";
import { MODEL, startCluster, type Cluster } from "./harness/cluster.ts";
import { makeHosts } from "./harness/hosts.ts";
import type { TestNode } from "./harness/node.ts";

const MAIN = resolve(import.meta.dirname, "../../packages/cli/src/main.ts");
const stack = new AsyncDisposableStack();
const hosts = stack.use(makeHosts(["a", "b"]));
let cluster: Cluster;
let a: TestNode;
let b: TestNode;

beforeAll(async () => {
  cluster = stack.use(await startCluster(hosts.hosts, "tools"));
  [a, b] = [cluster.named("a"), cluster.named("b")];
});
afterAll(() => stack.disposeAsync());

/** A command that goes on by itself. */
interface Running {
  readonly lines: readonly string[];
  readonly talk: string;
  end(signal: NodeJS.Signals): void;
  readonly status: Promise<number | null>;
}

function start(node: TestNode, ...args: readonly string[]): Running {
  const [command, words] = node.host.wrap(process.execPath, [MAIN, ...args, "--home", node.home]);
  const child = spawn(command, [...words], { stdio: ["ignore", "pipe", "pipe"] });
  const lines: string[] = [];
  let talk = "";
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  child.stderr.on("data", (chunk: Buffer) => (talk += chunk.toString()));
  stack.defer(() => void child.kill("SIGKILL"));
  return {
    lines,
    get talk() {
      return talk;
    },
    end: (signal) => void child.kill(signal),
    status: once(child, "exit").then(([code]) => code as number | null),
  };
}

const follow = (node: TestNode, ...args: readonly string[]): Running => start(node, "logs", ...args, "-f");

test("any member's log is had from any other, by name or id; nobody's is status 4 with the names there are", async () => {
  // A line that only the other's log has.
  await b.post("/v1/completions", { model: "nothing-of-b", prompt: "x" });
  const named = await a.run("logs", "b", "--lines", "20");
  expect(named.status, named.stderr).toBe(0);
  expect(named.stdout).toContain("POST /v1/completions");
  expect((await a.run("logs")).stdout).not.toContain("POST /v1/completions");
  const id = (await a.state()).nodes.find(({ name }) => name === "b")?.id ?? "";
  const byId = await a.run("logs", id, "--lines", "20", "--json");
  expect(JSON.parse(byId.stdout)).toMatchObject({ node: id, lines: expect.any(Array) as unknown });
  expect(byId.stdout).toContain("POST /v1/completions");
  const nobody = await a.run("logs", "nobody");
  expect(nobody.status).toBe(4);
  expect(nobody.stderr).toMatch(/Nodes: .*\bb\b/);
});

test("a log is followed until Ctrl-C", async () => {
  const plain = follow(a, "b", "--lines", "1");
  const json = follow(a, "b", "--lines", "1", "--json");
  await expect.poll(() => Math.min(plain.lines.length, json.lines.length)).toBeGreaterThan(0);
  await b.post("/v1/chat/completions", { model: "later", messages: [] });
  const came = (lines: readonly string[]): boolean => lines.some((line) => line.includes("POST /v1/chat/completions"));
  await expect.poll(() => came(plain.lines) && came(json.lines)).toBe(true);
  expect(json.lines.map((line) => JSON.parse(line) as unknown)).toContainEqual(
    expect.objectContaining({ event: "line", node: "b" }),
  );
  for (const each of [plain, json]) each.end("SIGINT");
  expect(await Promise.all([plain.status, json.status])).toEqual([130, 130]);
});

interface Bench {
  readonly models: readonly {
    readonly model: string;
    readonly prompts: readonly {
      readonly promptTokens: number;
      readonly timeToFirstTokenMs: { readonly median: number } | null;
    }[];
    readonly decode: readonly { readonly streams: number; readonly tokensPerSecond: { readonly median: number } | null }[];
    readonly deployments: readonly DeploymentView[];
    readonly disturbed: { readonly measurements: number; readonly of: number };
  }[];
}

const SHORT: readonly string[] = ["--rounds", "1", "--prompts", "64", "--tokens", "16"];

test("nothing deployed is said; a model is loaded to be measured and gone afterwards, after Ctrl-C as well", async () => {
  const nothing = await a.run("bench");
  expect(nothing.status).toBe(4);
  expect(nothing.stderr).toMatch(/Nothing is deployed.*\n.*clusterd load/);
  const measured = await a.run("bench", "demo", ...SHORT, "--json");
  expect(measured.status, measured.stderr).toBe(0);
  const [result] = (JSON.parse(measured.stdout) as Bench).models;
  expect(result?.model).toBe(MODEL);
  expect(result?.prompts[0]?.timeToFirstTokenMs?.median).toBeGreaterThan(0);
  expect(measured.stderr).toMatch(/loaded for this/);
  expect((await a.peek()).deployments).toEqual([]);
  const broken = start(a, "bench", "demo", "--rounds", "100");
  await a.until(({ deployments }) => deployments.some(({ state, queue }) => state === "ready" && queue.active > 0), "measured");
  broken.end("SIGINT");
  expect(await broken.status).toBe(130);
  expect((await a.peek()).deployments).toEqual([]);
});

test("what is deployed over several hosts is measured, stage by stage, and whether others were served as well", async () => {
  const loaded = await a.run("load", "demo", "--objective", "spread", "--head", "a", "--slots", "3", "--wait");
  expect(loaded.status, loaded.stderr).toBe(0);
  const quiet = await b.run("bench", ...SHORT, "--streams", "2", "--json");
  expect(quiet.status, quiet.stderr).toBe(0);
  const [result] = (JSON.parse(quiet.stdout) as Bench).models;
  expect(result?.decode.map(({ streams }) => streams)).toEqual([1, 2]);
  for (const { tokensPerSecond } of result?.decode ?? []) expect(tokensPerSecond?.median).toBeGreaterThan(0);
  expect(result?.disturbed).toEqual({ measurements: 0, of: 3 });
  const worker = result?.deployments[0]?.stages.find(({ node }) => node !== result.deployments[0]?.head);
  expect(worker?.timing?.computeMs.p50).toBeGreaterThan(0);
  // Others ask for as long as it takes, so many that one of them is always being answered.
  const others = new AbortController();
  const ask = async (): Promise<void> => {
    while (!others.signal.aborted)
      await b.post("/v1/completions", { model: "demo", prompt: "one two three", max_tokens: 200, temperature: 1 });
  };
  const asking = Promise.all([ask(), ask(), ask(), ask()]);
  const busy = await a.run("bench", MODEL, ...SHORT);
  others.abort();
  await asking;
  expect(busy.status, busy.stderr).toBe(0);
  expect(busy.stdout).toMatch(/Others were served during [1-9]/);
  expect((await a.peek()).deployments).toHaveLength(1);
  expect((await a.run("unload", "demo")).status).toBe(0);
});

interface Doctor {
  readonly healthy: boolean;
  readonly findings: readonly { readonly check: string; readonly where: string }[];
  readonly checks: readonly { readonly name: string; readonly result: string }[];
}

test("a cluster that is well has nothing wrong; what is wrong with it is found", async () => {
  const well = await a.run("doctor", "--json");
  const { findings, checks } = JSON.parse(well.stdout) as Doctor;
  // What this machine itself lacks is its own affair.
  const results = new Map(checks.map(({ name, result }) => [name, result]));
  for (const name of ["membership", "members", "versions", "one-way", "deployments", "daemon"])
    expect(results.get(name), name).toBe("fine");
  expect([...results.values()]).not.toContain("skipped");
  expect(well.status).toBe(findings.some((found) => "level" in found && found.level === "wrong") ? 1 : 0);
  process.kill(b.pid, "SIGSTOP");
  await a.until(({ nodes }) => nodes.some(({ name, state }) => name === "b" && state === "suspect"), "in doubt of b");
  const ill = await a.run("doctor", "--json");
  process.kill(b.pid, "SIGCONT");
  expect(ill.status).toBe(1);
  expect((JSON.parse(ill.stdout) as Doctor).findings).toContainEqual(expect.objectContaining({ check: "members", where: "b" }));
});

test("a node that goes while its log is followed is named, and so is this one's own end", async () => {
  const ofB = follow(a, "b", "--lines", "1");
  const ofA = follow(a, "--lines", "1");
  await expect.poll(() => Math.min(ofB.lines.length, ofA.lines.length)).toBeGreaterThan(0);
  await b.end("SIGKILL");
  expect(await ofB.status).toBe(1);
  expect(ofB.talk).toMatch(/log of b cannot be had/);
  await a.end("SIGINT");
  expect(await ofA.status).toBe(1);
  expect(ofA.talk).toMatch(/ended while the log of this node was followed/);
});
