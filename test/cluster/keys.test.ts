import { execFile } from "node:child_process";
import { readFile, truncate } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { KeyView } from "../../packages/wire/src/index.ts";
import { startCluster, type Cluster } from "./harness/cluster.ts";
import { makeHosts } from "./harness/hosts.ts";
import { startNode, type TestNode } from "./harness/node.ts";

const stack = new AsyncDisposableStack();
const hosts = stack.use(makeHosts(["a", "b", "c"]));
const [hostA, hostB, hostC] = hosts.hosts;
let cluster: Cluster;
let a: TestNode;
let b: TestNode;

beforeAll(async () => {
  if (hostA === undefined || hostB === undefined) throw new Error("no hosts");
  // The second node's API is for its network: keys are needed there.
  cluster = await startCluster([hostA, hostB], "keys", (host) => (host === hostB ? ["--api-host", "0.0.0.0"] : []));
  stack.use(cluster);
  [a, b] = [cluster.named("a"), cluster.named("b")];
});
afterAll(() => stack.disposeAsync());

/** The status of a GET with a key, from the node's own host. */
async function ask(node: TestNode, path: string, key: string | null): Promise<number> {
  const api = String((await node.event("ready"))["api"]).replace("0.0.0.0", "127.0.0.1");
  const auth = key === null ? [] : ["-H", `authorization: Bearer ${key}`];
  const [command, words] = node.host.wrap("curl", ["-s", "-o", "/dev/null", "-w", "%{http_code}", ...auth, `${api}${path}`]);
  return new Promise((done) => execFile(command, [...words], (_, stdout) => done(Number(stdout))));
}

async function create(node: TestNode, ...args: readonly string[]): Promise<KeyView & { readonly key: string }> {
  const ran = await node.run("key", "create", ...args, "--json");
  expect(ran.status, ran.stderr).toBe(0);
  return JSON.parse(ran.stdout) as KeyView & { readonly key: string };
}

async function names(node: TestNode): Promise<readonly string[]> {
  const ran = await node.run("key", "list", "--json");
  expect(ran.status, ran.stderr).toBe(0);
  return (JSON.parse(ran.stdout) as { keys: readonly KeyView[] }).keys.map(({ name }) => name).sort();
}

test("a key made on one node is taken by another, and refused there once a third party revokes it", async () => {
  const { key, id } = await create(a, "phone", "--rpm", "3", "--models", "demo");
  expect(await ask(b, "/v1/models", null)).toBe(401);
  expect(await ask(b, "/v1/models", `${key}x`)).toBe(401);
  await expect.poll(() => ask(b, "/v1/models", key)).toBe(200);
  // It may use models, not the cluster.
  expect(await ask(b, "/cluster/v1/keys", key)).toBe(403);
  for (const node of [a, b]) {
    const settings = await readFile(join(node.home, "settings.json"), "utf8");
    expect(settings).toContain(id);
    expect(settings).not.toContain(key.slice(3));
  }
  const shown = await b.run("key", "list");
  expect(shown.stdout).toMatch(new RegExp(`phone +${id} .*only demo; 3 requests/min`));
  const revoked = await b.run("key", "revoke", "phone");
  expect(revoked.stdout).toContain(id);
  expect(await ask(b, "/v1/models", key)).toBe(401);
  await expect.poll(() => names(a)).toEqual([]);
  expect((await a.run("key", "revoke", "phone")).status).toBe(4);
});

test("the home's own key is needed and taken where the API is open", async () => {
  const own = (await readFile(join(b.home, "api.key"), "utf8")).trim();
  expect(await ask(b, "/cluster/v1/keys", own)).toBe(200);
  expect(await ask(b, "/cluster/v1/state", null)).toBe(401);
  expect(await ask(b, "/health", null)).toBe(200);
});

// Needs hosts of their own.
test.skipIf(!hosts.isolated)(
  "what is set on both sides of a partition is known on both after it; a revoked key stays so",
  async () => {
    const link = hostB?.link;
    if (link === undefined) throw new Error("no link");
    const both = await create(a, "both");
    await expect.poll(() => names(b)).toEqual(["both"]);
    link.set("down");
    const [onA] = [await create(a, "on-a"), await create(b, "on-b")];
    expect((await b.run("key", "revoke", "both")).status).toBe(0);
    expect(await names(a)).toEqual(["both", "on-a"]);
    link.set("up");
    await expect.poll(() => names(a), { timeout: 90_000 }).toEqual(["on-a", "on-b"]);
    await expect.poll(() => names(b), { timeout: 90_000 }).toEqual(["on-a", "on-b"]);
    expect(await ask(b, "/v1/models", onA.key)).toBe(200);
    expect(await ask(b, "/v1/models", both.key)).toBe(401);
  },
);

test("who joins later knows every key, and who lost its settings is given them again", async () => {
  if (hostC === undefined) throw new Error("no hosts");
  const late = await create(a, "late", "--tokens-per-day", "1000");
  const token = (await a.run("token")).stdout.trim();
  const mesh = hostC.ownPorts ? [] : ["--peer", String(((await a.event("ready"))["mesh"] as string[])[0])];
  const start = (home?: string): Promise<TestNode> =>
    startNode(hostC, {
      args: [...(home === undefined ? ["--token", token] : []), ...mesh, "--api-host", "0.0.0.0"],
      ...(home === undefined ? {} : { home }),
    });
  const first = await start();
  await expect.poll(() => ask(first, "/v1/models", late.key)).toBe(200);
  await expect.poll(() => readFile(join(first.home, "settings.json"), "utf8")).toContain("late");
  await first.end("SIGKILL");
  await truncate(join(first.home, "settings.json"), 40);
  const again = await start(first.home);
  stack.use(again);
  await expect.poll(() => ask(again, "/v1/models", late.key)).toBe(200);
  expect(JSON.stringify(again.events)).toMatch(/settings in .*settings\.json are damaged/);
});
