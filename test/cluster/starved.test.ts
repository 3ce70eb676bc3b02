import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DeploymentView } from "../../packages/wire/src/index.ts";
import { MODEL, startCluster, type Cluster } from "./harness/cluster.ts";
import { makeHosts } from "./harness/hosts.ts";
import type { TestNode } from "./harness/node.ts";
import { enginesOf } from "./harness/processes.ts";
import { canStarve, starve } from "./harness/starve.ts";
import { openStream } from "./harness/stream.ts";

/** Tokens before and after: the stages have a history, and the answer goes on. */
const TOKENS_BEFORE = 40;
const TOKENS = 120;
/** A stage whose engine does nothing is stuck after 5 s, a head's after 20 s: longer than these. */
const STAGE_STARVED_MS = 8_000;
const HEAD_STARVED_MS = 25_000;

const network = makeHosts(["a", "b"]);
let cluster: Cluster;
let golden = "";

beforeAll(async () => {
  cluster = await startCluster(network.hosts, "starved");
  await cluster.spread();
  golden = (await (await openStream(cluster.head, { tokens: TOKENS })).end).text;
});
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  network[Symbol.dispose]();
});

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
const deployed = async (): Promise<DeploymentView | undefined> =>
  (await cluster.head.peek()).deployments.find(({ model }) => model === MODEL);

function engineOf(node: TestNode): number {
  const [engine] = enginesOf(node.pid);
  if (engine === undefined) throw new Error(`${node.host.name} runs no engine`);
  return engine.pid;
}

describe.runIf(canStarve())("an engine that gets next to no processor time", () => {
  test("is let be on a worker, for longer than one that is stopped", async () => {
    const { epoch } = (await deployed()) ?? {};
    let came = 0;
    const stream = await openStream(cluster.head, { tokens: TOKENS, onToken: () => (came += 1) });
    await stream.came(TOKENS_BEFORE);
    const starved = starve(engineOf(cluster.named("b")));
    await pause(STAGE_STARVED_MS);
    // The control: it was starved indeed.
    const meanwhile = came;
    starved[Symbol.dispose]();
    expect(meanwhile).toBeLessThan(TOKENS);
    expect(await stream.end).toMatchObject({ done: true, error: null, text: golden });
    expect(await deployed()).toMatchObject({ epoch, state: "ready" });
  });

  test("is let be on the head, for longer than one that hangs", async () => {
    const { epoch } = (await deployed()) ?? {};
    const engine = engineOf(cluster.head);
    const starved = starve(engine);
    await pause(HEAD_STARVED_MS);
    starved[Symbol.dispose]();
    expect(engineOf(cluster.head)).toBe(engine);
    expect(await (await openStream(cluster.head, { tokens: TOKENS })).end).toMatchObject({ done: true, text: golden });
    expect(await deployed()).toMatchObject({ epoch, state: "ready" });
  });

  test("is stuck all the same once it is stopped", async () => {
    const stream = await openStream(cluster.head, { tokens: TOKENS });
    await stream.came(TOKENS_BEFORE);
    const engine = engineOf(cluster.named("b"));
    using _starved = starve(engine);
    process.kill(engine, "SIGSTOP");
    const { done, error } = await stream.end;
    expect(done).toBe(false);
    expect(error).toMatchObject({ code: "engine_stalled", message: expect.stringMatching(/on b .*its process was stopped$/) });
  });
});
