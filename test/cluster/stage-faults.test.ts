import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { StageView } from "../../packages/wire/src/index.ts";
import { MODEL, startCluster, type Cluster } from "./harness/cluster.ts";
import { makeHosts } from "./harness/hosts.ts";
import type { TestNode } from "./harness/node.ts";
import { enginesOf, isAlive, type Process } from "./harness/processes.ts";
import { openStream, type StreamEnd } from "./harness/stream.ts";

/** Tokens that have come before something breaks. */
const TOKENS_BEFORE = 20;
/** Loose: the limits themselves are 2 s for what is gone, 5 to 30 s for what hangs, and the machine may be busy. */
const LOST_MS_MAX = 15_000;
const STALLED_MS_MAX = 45_000;

const network = makeHosts(["a", "b", "c", "d"]);
let cluster: Cluster;
let stages: ReadonlyMap<string, StageView>;

beforeAll(async () => {
  cluster = await startCluster(network.hosts, "faults");
});
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  network[Symbol.dispose]();
});

const engines = (): readonly Process[] => cluster.nodes.flatMap((node) => enginesOf(node.pid));
function rpcServerOf(node: TestNode): number {
  const [engine] = enginesOf(node.pid);
  if (engine === undefined) throw new Error(`${node.host.name} has no rpc-server`);
  return engine.pid;
}

/** Breaks something while an answer streams, with a deployment of its own, and tells how the stream ended and how soon. */
async function midStream(fault: () => void): Promise<StreamEnd & { readonly afterMs: number }> {
  stages = await cluster.spread();
  expect([...stages.keys()].toSorted()).toEqual(["a", "b", "c", "d"]);
  const stream = await openStream(cluster.head);
  await stream.came(TOKENS_BEFORE);
  const brokenMs = performance.now();
  fault();
  const end = await stream.end;
  return { ...end, afterMs: end.endedMs - brokenMs };
}

function expectNamed(end: StreamEnd, node: string, code: string): void {
  const stage = stages.get(node);
  expect(end.tokens).toBeGreaterThanOrEqual(TOKENS_BEFORE);
  // No end that looks like a finished answer.
  expect(end.done).toBe(false);
  expect(end.error).toMatchObject({
    code,
    message: expect.stringContaining(`on ${node} (layers ${stage?.firstLayer}-${stage?.lastLayer})`),
  });
}

/** Ready in a later epoch, a right answer, nothing left of what ran before, and one engine on every node that has a stage. */
async function expectRecovered(before: readonly Process[]): Promise<void> {
  const { stages: now } = await cluster.recovered(1);
  const { nodes } = await cluster.head.state();
  const placed = new Set(now.map((stage) => nodes.find(({ id }) => id === stage.node)?.name));
  const body = { model: MODEL, messages: [{ role: "user", content: "What is the capital of France?" }], temperature: 0 };
  expect(await cluster.head.post("/v1/chat/completions", body)).toContain("The capital of France is Paris.");
  // A worker that was cut off learns by its head's word, which it looks at every ten seconds, that its stage is over.
  for (const { pid } of before) await expect.poll(() => isAlive(pid), { timeout: 45_000 }).toBe(false);
  for (const node of cluster.nodes) {
    const wanted = placed.has(node.host.name) ? 1 : 0;
    await expect.poll(() => enginesOf(node.pid).length, { timeout: 20_000 }).toBe(wanted);
  }
}

describe("what breaks mid-stream is named in the stream, and the model comes back", () => {
  test("an rpc-server is killed", async () => {
    let before: readonly Process[] = [];
    const end = await midStream(() => {
      before = engines();
      process.kill(rpcServerOf(cluster.named("b")), "SIGKILL");
    });
    console.log(`killed: told after ${Math.round(end.afterMs)} ms, ${end.error?.message}`);
    expectNamed(end, "b", "worker_lost");
    expect(end.afterMs).toBeLessThan(LOST_MS_MAX);
    await expectRecovered(before);
  });

  test("an rpc-server hangs", async () => {
    let before: readonly Process[] = [];
    const end = await midStream(() => {
      before = engines();
      process.kill(rpcServerOf(cluster.named("c")), "SIGSTOP");
    });
    console.log(`stopped: told after ${Math.round(end.afterMs)} ms, ${end.error?.message}`);
    expectNamed(end, "c", "engine_stalled");
    expect(end.afterMs).toBeLessThan(STALLED_MS_MAX);
    // The hung one is gone as well: it cannot be asked to end.
    await expectRecovered(before);
  });

  test.runIf(network.isolated)("a cable is pulled", async () => {
    const { link } = cluster.named("d").host;
    let before: readonly Process[] = [];
    const end = await midStream(() => {
      before = engines();
      link?.set("down");
    });
    // The others hold the model as well: nobody waits for the one that is gone.
    const d = (await cluster.head.state()).nodes.find(({ name }) => name === "d")?.id;
    const { deployments } = await cluster.head.until(
      (state) => state.deployments.some((view) => view.model === MODEL && view.state === "ready" && view.epoch > 1),
      "ready without it",
    );
    expect(deployments.flatMap((view) => view.stages.map((stage) => stage.node))).not.toContain(d);
    link?.set("up");
    console.log(`unplugged: told after ${Math.round(end.afterMs)} ms, ${end.error?.message}`);
    expectNamed(end, "d", "worker_lost");
    expect(end.afterMs).toBeLessThan(LOST_MS_MAX);
    await expectRecovered(before);
  });

  test.runIf(network.isolated)("a link loses what goes one way", async () => {
    const { link } = cluster.named("b").host;
    let before: readonly Process[] = [];
    const end = await midStream(() => {
      before = engines();
      link?.deafen(true);
    });
    link?.deafen(false);
    console.log(`deafened: told after ${Math.round(end.afterMs)} ms, ${end.error?.message}`);
    expectNamed(end, "b", "worker_lost");
    expect(end.afterMs).toBeLessThan(LOST_MS_MAX);
    await expectRecovered(before);
  });
});
