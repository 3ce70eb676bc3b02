import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startCluster, type Cluster } from "./harness/cluster.ts";
import { makeHosts } from "./harness/hosts.ts";
import type { TestNode } from "./harness/node.ts";

const MAIN = resolve(import.meta.dirname, "../../packages/cli/src/main.ts");
const stack = new AsyncDisposableStack();
const hosts = stack.use(makeHosts(["a", "b"]));
let cluster: Cluster;
let a: TestNode;
let b: TestNode;

beforeAll(async () => {
  cluster = stack.use(await startCluster(hosts.hosts, "logs"));
  [a, b] = [cluster.named("a"), cluster.named("b")];
});
afterAll(() => stack.disposeAsync());

interface Follower {
  readonly lines: readonly string[];
  readonly talk: string;
  end(signal: NodeJS.Signals): void;
  readonly status: Promise<number | null>;
}

/** `clusterd logs … -f`, on a node's host. */
function follow(node: TestNode, ...args: readonly string[]): Follower {
  const [command, words] = node.host.wrap(process.execPath, [MAIN, "logs", ...args, "-f", "--home", node.home]);
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
  await expect.poll(() => [plain.lines.length, json.lines.length]).toEqual([1, 1]);
  await b.post("/v1/chat/completions", { model: "later", messages: [] });
  const came = (lines: readonly string[]): boolean => lines.some((line) => line.includes("POST /v1/chat/completions"));
  await expect.poll(() => came(plain.lines) && came(json.lines)).toBe(true);
  expect(JSON.parse(json.lines.at(-1) ?? "")).toMatchObject({ event: "line", node: "b" });
  for (const each of [plain, json]) each.end("SIGINT");
  expect(await Promise.all([plain.status, json.status])).toEqual([130, 130]);
});

test("a node that goes while its log is followed is named, and so is this one's own end", async () => {
  const ofB = follow(a, "b", "--lines", "1");
  const ofA = follow(a, "--lines", "1");
  await expect.poll(() => [ofB.lines.length, ofA.lines.length]).toEqual([1, 1]);
  await b.end("SIGKILL");
  expect(await ofB.status).toBe(1);
  expect(ofB.talk).toMatch(/log of b cannot be had/);
  await a.end("SIGINT");
  expect(await ofA.status).toBe(1);
  expect(ofA.talk).toMatch(/ended while the log of this node was followed/);
});
