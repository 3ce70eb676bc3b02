import { afterAll, beforeAll, expect, test } from "vitest";
import type { ClusterState, DeploymentView } from "../../packages/wire/src/index.ts";
import { MODEL } from "./harness/cluster.ts";
import { makeHosts, type Host } from "./harness/hosts.ts";
import { startNode, type TestNode } from "./harness/node.ts";

const network = makeHosts(["slow", "fast"]);
const [slowHost, fastHost] = network.hosts as [Host, Host];
let slow: TestNode;
let fast: TestNode;

beforeAll(async () => {
  slow = await startNode(slowHost, { args: ["--cluster", "lab", "--bandwidth", "0.2GB"] });
  await slow.event("ready");
});

afterAll(async () => {
  await Promise.all([slow, fast].map((node) => node[Symbol.asyncDispose]()));
  network[Symbol.dispose]();
});

const deployed = ({ deployments }: ClusterState): DeploymentView | undefined => deployments.find(({ model }) => model === MODEL);
const headName = (state: ClusterState): string | undefined => state.nodes.find(({ id }) => id === deployed(state)?.head)?.name;
async function answers(node: TestNode): Promise<void> {
  const body = { model: "demo", messages: [{ role: "user", content: "What is the capital of France?" }], max_tokens: 24 };
  expect(await node.post("/v1/chat/completions", body)).toContain('"finish_reason"');
}

test("a faster machine comes: the move is proposed, done when asked for, and by itself where told to", async () => {
  expect((await slow.run("load", "demo", "--wait")).status).toBe(0);
  const alone = await slow.state();
  expect([headName(alone), deployed(alone)?.proposal, deployed(alone)?.replan]).toEqual(["slow", null, "ask"]);

  const mesh = network.isolated ? [] : ["--peer", String(((await slow.event("ready"))["mesh"] as string[])[0])];
  const token = (await slow.run("token")).stdout.trim();
  fast = await startNode(fastHost, { args: ["--token", token, "--bandwidth", "20GB", ...mesh] });
  await fast.event("admitted");

  const proposing = await slow.until((state) => deployed(state)?.proposal !== null, "proposing a move");
  const proposal = deployed(proposing)?.proposal;
  const fastId = proposing.nodes.find(({ name }) => name === "fast")?.id;
  expect(proposal).toMatchObject({ head: fastId, stages: [{ node: fastId, firstLayer: 0, lastLayer: 15 }] });
  expect(proposal?.gain).toBeGreaterThan(0.15);
  // Proposed, not done.
  expect(headName(proposing)).toBe("slow");
  expect((await fast.run("ps")).stdout).toContain("clusterd load demo-16l-q8_0 --replan now");
  await answers(slow);

  // Asked from a node that is not the head.
  const moved = await fast.run("load", "demo", "--replan", "now", "--wait");
  expect([moved.status, moved.stdout]).toEqual([0, expect.stringContaining("head fast")]);
  const after = await fast.until((state) => deployed(state)?.state === "ready", "ready");
  expect([headName(after), deployed(after)?.proposal]).toEqual(["fast", null]);
  await answers(slow);

  // Where it is, it is best: nothing to do, and what runs is left alone.
  const again = await slow.run("load", "demo", "--replan", "now");
  expect(again.status).toBe(0);
  expect(deployed(await fast.state())?.epoch).toBe(deployed(after)?.epoch);
});

test("what was told to moves by itself; what was asked to stay stays", async () => {
  await fast.run("drain", "fast");
  expect((await slow.run("load", "demo", "--replan", "auto", "--wait")).status).toBe(0);
  expect(headName(await slow.state())).toBe("slow");
  expect((await fast.run("drain", "fast", "--off")).status).toBe(0);
  const moved = await slow.until((state) => headName(state) === "fast" && deployed(state)?.state === "ready", "moved by itself");
  expect(deployed(moved)?.replan).toBe("auto");
  await answers(slow);
});

test("only what runs can be moved", async () => {
  expect((await slow.run("unload", "demo")).status).toBe(0);
  const refused = await slow.run("load", "demo", "--replan", "now");
  expect(refused.status).not.toBe(0);
  expect(refused.stderr).toContain("Only what is deployed can be moved");
});
