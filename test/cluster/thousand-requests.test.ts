import { afterAll, beforeAll, expect, test } from "vitest";
import { MODEL, startCluster, type Cluster } from "./harness/cluster.ts";
import { busySlots, sendCrowd, type CrowdResult } from "./harness/crowd.ts";
import { makeHosts } from "./harness/hosts.ts";
import type { TestNode } from "./harness/node.ts";
import { usageOf } from "./harness/processes.ts";

/** Through each of two nodes, one of which is not the head. */
const REQUESTS = 500;
const SLOTS = 2;
/** What a daemon may keep after a crowd: pools and caches of the runtime, not what the crowd left. */
const KEPT_BYTES_MAX: number = 96 * 1024 * 1024;
const KEPT_DESCRIPTORS_MAX = 4;

const network = makeHosts(["head", "other"]);
let cluster: Cluster;
let head: TestNode;
let other: TestNode;

beforeAll(async () => {
  cluster = await startCluster(network.hosts, "crowd");
  head = cluster.named("head");
  other = cluster.named("other");
  const loaded = await head.run("load", "demo", "--head", "head", "--slots", String(SLOTS), "--without", "other", "--wait");
  if (loaded.status !== 0) throw new Error(loaded.stderr);
});

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  network[Symbol.dispose]();
});

async function crowd(node: TestNode, requests: number): Promise<CrowdResult> {
  const api = String((await node.event("ready"))["api"]);
  return sendCrowd(node.host, { api, model: MODEL, requests, tokens: 4, oneInLeaves: 10 });
}

async function queueAt(node: TestNode): Promise<{ readonly active: number; readonly waiting: number }> {
  const { active, waiting } = (await node.peek()).deployments.find(({ model }) => model === MODEL)?.queue ?? {};
  return { active: active ?? Number.NaN, waiting: waiting ?? Number.NaN };
}

test("a thousand requests at once against two slots: each ends in one way, and nothing is left of them", async () => {
  // What is loaded and compiled at the first use is no leak.
  await Promise.all([head, other].map((node) => crowd(node, 40)));
  const before = [head, other].map(({ pid }) => usageOf(pid));

  const crowds = Promise.all([head, other].map((node) => crowd(node, REQUESTS)));
  let [mostActive, mostWaiting] = [0, 0];
  const over = new AbortController();
  const look = async (): Promise<void> => {
    while (!over.signal.aborted) {
      const { active, waiting } = await queueAt(other);
      mostActive = Math.max(mostActive, active);
      mostWaiting = Math.max(mostWaiting, waiting);
      await new Promise((done) => setTimeout(done, 250));
    }
  };
  const looking = look();
  const results = await crowds;
  over.abort();
  await looking;

  for (const { endings, lost, retryAfterSeconds } of results) {
    expect(lost.slice(0, 3)).toEqual([]);
    expect(Object.values(endings).reduce((sum, count) => sum + count, 0)).toBe(REQUESTS);
    // Neither node's clients are kept out by the other's.
    expect(Math.min(endings.answered, endings.refused, endings.gone)).toBeGreaterThan(0);
    for (const seconds of retryAfterSeconds) expect(seconds).toSatisfy((value: number) => value >= 1 && value <= 60);
  }
  expect([mostActive, mostWaiting > SLOTS && mostWaiting <= 256]).toEqual([SLOTS, true]);

  for (const node of [head, other]) await expect.poll(() => queueAt(node)).toEqual({ active: 0, waiting: 0 });
  await expect.poll(() => busySlots(head)).toBe(0);
  for (const [at, { pid }] of [head, other].entries()) {
    const was = before[at] ?? usageOf(pid);
    await expect.poll(() => usageOf(pid).descriptors).toBeLessThanOrEqual(was.descriptors + KEPT_DESCRIPTORS_MAX);
    await expect.poll(() => usageOf(pid).residentBytes).toBeLessThan(was.residentBytes + KEPT_BYTES_MAX);
  }
  const { answered, gone } = (await crowd(other, 2 * SLOTS)).endings;
  expect(answered + gone).toBe(2 * SLOTS);
});
