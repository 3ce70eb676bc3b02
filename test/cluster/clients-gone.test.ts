import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { MODEL, startCluster, type Cluster } from "./harness/cluster.ts";
import { busySlots, headEngine } from "./harness/crowd.ts";
import { makeHosts } from "./harness/hosts.ts";
import { askAndLeave, type LeavingClient } from "./harness/leaving-client.ts";
import type { TestNode } from "./harness/node.ts";

const network = makeHosts(["head", "other"]);
let cluster: Cluster;
let head: TestNode;
let other: TestNode;

beforeAll(async () => {
  cluster = await startCluster(network.hosts, "gone");
  head = cluster.named("head");
  other = cluster.named("other");
  const loaded = await head.run("load", "demo", "--head", "head", "--slots", "1", "--without", "other", "--wait");
  if (loaded.status !== 0) throw new Error(loaded.stderr);
});

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  network[Symbol.dispose]();
});

/** As the head tells it, which is at most a second old elsewhere. */
async function queue(): Promise<readonly [active: number, waiting: number]> {
  const { active, waiting } = (await head.peek()).deployments.find(({ model }) => model === MODEL)?.queue ?? {};
  return [active ?? Number.NaN, waiting ?? Number.NaN];
}

beforeEach(async () => {
  await expect.poll(queue).toEqual([0, 0]);
});

/** A story that goes on until the context is full. */
function story(node: TestNode, stream: boolean): Promise<LeavingClient> {
  const messages = [{ role: "user", content: "Tell me a story." }];
  return askAndLeave(node, "/v1/chat/completions", { model: MODEL, messages, stream, logit_bias: { 1279: -100 } });
}

test("of those who go, whoever waits leaves the queue and whoever is answered the slot; the next one has its turn", async () => {
  const first = await story(other, true);
  await expect.poll(() => first.text).toContain('"content"');
  // Its story waits while the others come.
  const { pid } = headEngine(head);
  process.kill(pid, "SIGSTOP");
  const second = await story(other, true);
  await expect.poll(queue).toEqual([1, 1]);
  const third = await story(head, true);
  await expect.poll(queue).toEqual([1, 2]);
  // They are told that they wait, and where.
  await expect.poll(() => second.text).toContain(": queued, position 1");
  await expect.poll(() => third.text).toContain(": queued, position 2");
  second.leave();
  await expect.poll(queue).toEqual([1, 1]);
  await expect.poll(() => third.text).toContain(": queued, position 1");
  expect(third.text).not.toContain('"content"');
  process.kill(pid, "SIGCONT");
  first.leave();
  await expect.poll(() => third.text).toContain('"content"');
  expect(await queue()).toEqual([1, 0]);
  third.leave();
  await expect.poll(queue).toEqual([0, 0]);
  await expect.poll(() => busySlots(head)).toBe(0);
});

test.each([true, false])("with a long prompt under way the slot is free again (stream: %s)", async (stream) => {
  const content = Array.from({ length: 500 }, (_, at) => String(at % 10)).join(" ");
  const client = await askAndLeave(other, "/v1/chat/completions", {
    ...{ model: MODEL, stream, logit_bias: { 1279: -100 } },
    messages: [{ role: "user", content }],
  });
  await expect.poll(() => busySlots(head), { interval: 1 }).toBe(1);
  client.leave();
  await expect.poll(() => busySlots(head)).toBe(0);
  // Left alone it goes on until the context is full.
  expect((client.text.match(/"content"/g) ?? []).length).toBeLessThan(100);
});
