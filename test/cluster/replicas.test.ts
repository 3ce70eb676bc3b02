import { afterAll, beforeAll, expect, test } from "vitest";
import type { ClusterState, DeploymentView } from "../../packages/wire/src/index.ts";
import { MODEL, startCluster, type Cluster } from "./harness/cluster.ts";
import { makeHosts } from "./harness/hosts.ts";
import type { TestNode } from "./harness/node.ts";
import { openStream } from "./harness/stream.ts";

const QUESTION = "What is the capital of France?";
const network = makeHosts(["a", "b", "c"]);
let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster(network.hosts, "replicas");
});
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  network[Symbol.dispose]();
});

interface Loaded {
  readonly deployment: string;
  readonly replicas: readonly { readonly deployment: string; readonly plan: { readonly head: string } }[];
}

async function load(node: TestNode, ...args: readonly string[]): Promise<Loaded> {
  const loaded = await node.run("load", "demo", "--wait", "--json", ...args);
  expect(loaded.status, loaded.stderr).toBe(0);
  return JSON.parse(loaded.stdout) as Loaded;
}

async function ask(node: TestNode, question: string): Promise<string> {
  const body = { model: MODEL, messages: [{ role: "user", content: question }], temperature: 0, max_tokens: 24 };
  const text = await node.post("/v1/chat/completions", body);
  const answer = JSON.parse(text) as { choices?: { message: { content: string } }[] };
  return answer.choices?.[0]?.message.content ?? text;
}

const readyOf = (state: ClusterState): readonly DeploymentView[] => state.deployments.filter((view) => view.state === "ready");
const nodesOf = ({ head, stages }: DeploymentView): readonly string[] => [...new Set([head, ...stages.map(({ node }) => node)])];

test("two replicas on hosts of their own, told of as two; to load them again is no work", async () => {
  const { head, named } = cluster;
  const loaded = await load(head, "--replicas", "2", "--without", "c");
  expect(loaded.replicas.map(({ plan }) => plan.head).sort()).toEqual(["a", "b"]);
  const state = await named("c").until((now) => readyOf(now).length === 2, "told of two replicas");
  const hosts = readyOf(state).flatMap(nodesOf);
  expect(new Set(hosts).size).toBe(hosts.length);
  expect(readyOf(state).map(({ model }) => model)).toEqual([MODEL, MODEL]);

  const again = await load(named("c"), "--replicas", "2");
  expect(again.replicas.map(({ deployment }) => deployment).sort()).toEqual(
    loaded.replicas.map(({ deployment }) => deployment).sort(),
  );
  expect((await load(head)).replicas).toHaveLength(2);
});

test("a node that runs neither answers from both, each with a slot of its own", async () => {
  const c = cluster.named("c");
  expect(await ask(c, QUESTION)).toContain("Paris");
  // Each has one slot: two answers that come at the same time come from both.
  const firstMs: number[] = [];
  const streams = await Promise.all([0, 1].map((at) => openStream(c, { onToken: (nowMs) => (firstMs[at] ??= nowMs) })));
  const ends = await Promise.all(streams.map((stream) => stream.end));
  for (const end of ends) expect(end).toMatchObject({ done: true, error: null });
  expect(Math.max(...firstMs)).toBeLessThan(Math.min(...ends.map(({ endedMs }) => endedMs)));
});

test("one that is lost costs the other nothing, and nobody who asks from then on", async () => {
  const { named } = cluster;
  const [a, b, c] = [named("a"), named("b"), named("c")];
  await a.until((state) => readyOf(state).every(({ queue }) => queue.active === 0), "at rest");
  // On the replica of the node itself: each takes its own while it has a free slot.
  const kept = await openStream(a);
  await kept.came(5);
  await b.end("SIGKILL");
  // Whether its loss is known yet or not: what has not begun to answer is answered by the other.
  for (let index = 0; index < 8; index++)
    expect(await ask(index % 2 === 0 ? c : a, `${QUESTION} ${index}`)).not.toContain("error");
  expect(await kept.end).toMatchObject({ done: true, error: null });
  await c.until((state) => readyOf(state).length === 1, "told of the loss");
  for (const node of [a, c]) expect(await ask(node, QUESTION)).toContain("Paris");
});

test("to unload the model takes all of them down; as many as are worth it come up where it says auto", async () => {
  const { named } = cluster;
  const [a, c] = [named("a"), named("c")];
  const loaded = await load(c, "--replicas", "auto");
  expect(loaded.replicas.length).toBeGreaterThanOrEqual(1);
  const two = await load(c, "--replicas", "2");
  expect(two.replicas.map(({ plan }) => plan.head).sort()).toEqual(["a", "c"]);
  expect((await a.run("unload", "demo")).status).toBe(0);
  const live = (state: ClusterState): boolean => state.deployments.every(({ state: phase }) => phase === "failed");
  await Promise.all([a, c].map((node) => node.until(live, "nothing deployed")));
  const refused = await a.run("load", "demo", "--replicas", "5", "--json");
  expect(refused.status).toBe(5);
  expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: "does_not_fit", details: { reason: "head" } } });
});
