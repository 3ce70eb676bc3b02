import { afterAll, beforeAll, expect, test } from "vitest";
import type { StageView } from "../../packages/wire/src/index.ts";
import { MODEL, startCluster, type Cluster } from "./harness/cluster.ts";
import { makeHosts } from "./harness/hosts.ts";
import { enginesOf, isAlive } from "./harness/processes.ts";
import { openStream } from "./harness/stream.ts";

const TOKENS_BEFORE = 20;

const network = makeHosts(["a", "b", "c"]);
let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster(network.hosts, "faults");
});
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  network[Symbol.dispose]();
});

const named = (node: string, stage: StageView | undefined): string =>
  `on ${node} (layers ${stage?.firstLayer}-${stage?.lastLayer}) was lost`;
const ask = (): Promise<string> =>
  cluster.head.post("/v1/chat/completions", {
    model: MODEL,
    messages: [{ role: "user", content: "What is the capital of France?" }],
    temperature: 0,
  });

test("a node whose daemon is stopped while nobody asks: lost by name, and back once it goes on", async () => {
  const stages = await cluster.spread();
  const worker = cluster.named("b");
  const before = cluster.nodes.flatMap((node) => enginesOf(node.pid));
  process.kill(worker.pid, "SIGSTOP");
  try {
    const state = await cluster.head.until(({ deployments }) => deployments[0]?.state !== "ready", "not ready any more");
    expect(state.deployments[0]?.reason).toMatch(/^worker_lost: /);
    expect(state.deployments[0]?.reason).toContain(named("b", stages.get("b")));
  } finally {
    process.kill(worker.pid, "SIGCONT");
  }
  await cluster.recovered(1);
  expect(await ask()).toContain("The capital of France is Paris.");
  for (const { pid } of before) await expect.poll(() => isAlive(pid), { timeout: 20_000 }).toBe(false);
});

test("a node whose daemon is stopped mid-stream: named in the stream, and back once it goes on", async () => {
  const stages = await cluster.spread();
  const worker = cluster.named("c");
  const before = cluster.nodes.flatMap((node) => enginesOf(node.pid));
  const stream = await openStream(cluster.head);
  await stream.came(TOKENS_BEFORE);
  process.kill(worker.pid, "SIGSTOP");
  let end;
  try {
    end = await stream.end;
  } finally {
    process.kill(worker.pid, "SIGCONT");
  }
  expect(end.done).toBe(false);
  expect(end.error).toMatchObject({
    code: expect.stringMatching(/^(worker_lost|engine_stalled)$/),
    message: expect.stringContaining(`on c (layers ${stages.get("c")?.firstLayer}-${stages.get("c")?.lastLayer})`),
  });
  console.log(end.error?.message);
  await cluster.recovered(1);
  expect(await ask()).toContain("The capital of France is Paris.");
  for (const { pid } of before) await expect.poll(() => isAlive(pid), { timeout: 20_000 }).toBe(false);
});
