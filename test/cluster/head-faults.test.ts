import { afterAll, beforeAll, expect, test } from "vitest";
import { MODEL, startCluster, type Cluster } from "./harness/cluster.ts";
import { makeHosts } from "./harness/hosts.ts";
import { enginesOf, isAlive } from "./harness/processes.ts";
import { openStream, type StreamEnd } from "./harness/stream.ts";

const TOKENS_BEFORE = 20;

const network = makeHosts(["a", "b"]);
let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster(network.hosts, "faults");
});
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  network[Symbol.dispose]();
});

/** Signals the head's llama-server while a client of another node reads: how its stream ended, and the model is back. */
async function signalled(signal: NodeJS.Signals): Promise<StreamEnd> {
  await cluster.spread();
  const before = cluster.nodes.flatMap((node) => enginesOf(node.pid));
  const [engine] = enginesOf(cluster.head.pid);
  const stream = await openStream(cluster.named("b"));
  await stream.came(TOKENS_BEFORE);
  const brokenMs = performance.now();
  process.kill(engine?.pid ?? 0, signal);
  const end = await stream.end;
  console.log(`${signal}: told after ${Math.round(end.endedMs - brokenMs)} ms, ${end.error?.message}`);
  expect(end.done).toBe(false);
  await cluster.recovered(1);
  const body = { model: MODEL, messages: [{ role: "user", content: "What is the capital of France?" }], temperature: 0 };
  expect(await cluster.head.post("/v1/chat/completions", body)).toContain("The capital of France is Paris.");
  for (const { pid } of before) await expect.poll(() => isAlive(pid), { timeout: 20_000 }).toBe(false);
  return end;
}

test("a head's engine that is killed", async () => {
  const { error } = await signalled("SIGKILL");
  expect(error).toMatchObject({ code: "engine_crashed", message: expect.stringContaining("The head on a: llama-server") });
});

test("a head's engine that hangs is told from a busy one, and replaced", async () => {
  const { error } = await signalled("SIGSTOP");
  expect(error).toMatchObject({ code: "engine_stalled", message: expect.stringContaining("llama-server on a is stuck") });
});
