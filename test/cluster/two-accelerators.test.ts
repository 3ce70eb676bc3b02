import { dirname } from "node:path";
import { rm } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeHosts, type Host } from "./harness/hosts.ts";
import { startNode, type TestNode } from "./harness/node.ts";
import { enginesOf, isAlive } from "./harness/processes.ts";
import { twoDevicesEngine } from "./harness/two-devices-engine.ts";

const MODEL = "demo-16l-q8_0";
const CARD_BYTES = 1024 ** 3;

const network = makeHosts(["plain", "rig"]);
const [hostPlain, hostRig] = network.hosts as [Host, Host];
const started: TestNode[] = [];
let plain: TestNode;
let rig: TestNode;
let engineDir = "";

async function ask(prompt: string): Promise<string> {
  const text = await plain.post("/v1/chat/completions", {
    model: MODEL,
    messages: [{ role: "user", content: prompt }],
    temperature: 0,
    max_tokens: 200,
  });
  const answer = JSON.parse(text) as { choices?: { message: { content: string } }[] };
  return answer.choices?.[0]?.message.content ?? text;
}

beforeAll(async () => {
  engineDir = await twoDevicesEngine(CARD_BYTES);
  plain = await startNode(hostPlain, { args: ["--cluster", "cards"] });
  started.push(plain);
  const ready = await plain.event("ready");
  const mesh = network.isolated ? [] : ["--peer", String((ready["mesh"] as string[])[0])];
  const token = (await plain.run("token")).stdout.trim();
  rig = await startNode(hostRig, { args: ["--token", token, ...mesh], env: { CLUSTERD_ENGINE_DIR: engineDir } });
  started.push(rig);
  await rig.event("admitted");
  await plain.until((state) => state.nodes.filter((node) => node.state === "alive").length === 2, "a cluster of two");
});

afterAll(async () => {
  await Promise.all(started.map((node) => node[Symbol.asyncDispose]()));
  network[Symbol.dispose]();
  if (engineDir !== "") await rm(dirname(engineDir), { recursive: true, force: true });
});

describe("a host with two accelerators", () => {
  test("is planned as two places, each with its own memory", async () => {
    const planned = await plain.run("plan", "demo", "--objective", "spread", "--head", "plain", "--json");
    expect(planned.status, planned.stderr).toBe(0);
    const plan = JSON.parse(planned.stdout) as { stages: { node: string; budgetBytes: number }[] };
    expect(plan.stages.map((stage) => stage.node).toSorted()).toEqual(["plain", "rig", "rig#1"]);
    for (const stage of plan.stages) if (stage.node !== "plain") expect(stage.budgetBytes).toBeLessThan(CARD_BYTES);
    const without = await plain.run("plan", "demo", "--objective", "spread", "--without", "rig", "--json");
    expect((JSON.parse(without.stdout) as typeof plan).stages.map((stage) => stage.node)).toEqual(["plain"]);
  });

  test("serves a stage on each, by an rpc-server of its own, and answers right", async () => {
    const pins = ["--pin", "plain=0-3", "--pin", "rig=4-9", "--pin", "rig#1=10-15"];
    const loaded = await plain.run("load", "demo", "--head", "plain", ...pins, "--wait", "--json");
    expect(loaded.status, loaded.stderr).toBe(0);
    const { nodes, deployments } = await plain.until((now) => now.deployments[0]?.state === "ready", "ready");
    const id = nodes.find((node) => node.name === "rig")?.id ?? "";
    expect(deployments[0]?.stages.map((stage) => [stage.node, stage.firstLayer, stage.lastLayer]).slice(1)).toEqual([
      [id, 4, 9],
      [`${id}#1`, 10, 15],
    ]);
    expect(enginesOf(rig.pid)).toHaveLength(2);
    expect(await ask("What is the capital of France?")).toContain("Paris");
    const shown = await plain.run("ps");
    expect(shown.stdout).toContain("rig#1");
  });

  test("names the one that is lost, and comes back with both", async () => {
    const before = (await plain.state()).deployments[0]?.epoch ?? 0;
    const [, second] = enginesOf(rig.pid).toSorted((a, b) => a.pid - b.pid);
    process.kill(second?.pid ?? NaN, "SIGKILL");
    await plain.until((state) => state.deployments[0]?.state === "ready" && state.deployments[0].epoch > before, "ready again");
    const said = plain.events.flatMap((event) => (event.event === "log" ? [String(event["message"])] : []));
    expect(said.join("\n")).toMatch(/The worker on rig(#1 \(layers 10-15\)| \(layers 4-9\)) was lost/);
    expect(enginesOf(rig.pid)).toHaveLength(2);
    expect(await ask("What is the capital of France?")).toContain("Paris");
  });

  test("can head with its second accelerator as a worker beside it", async () => {
    expect((await plain.run("unload", "demo")).status).toBe(0);
    // Its first accelerator is none in truth: a head without layers needs none.
    const loaded = await rig.run(
      "load",
      "demo",
      "--head",
      "rig",
      "--pin",
      "plain=0-7",
      "--pin",
      "rig#1=8-15",
      "--wait",
      "--json",
    );
    expect(loaded.status, loaded.stderr).toBe(0);
    expect(await ask("What is the capital of France?")).toContain("Paris");
    const pids = enginesOf(rig.pid).map(({ pid }) => pid);
    expect(pids.length).toBeGreaterThanOrEqual(2);
    expect((await plain.run("unload", "demo")).status).toBe(0);
    for (const pid of pids) await expect.poll(() => isAlive(pid), { timeout: 15_000 }).toBe(false);
  });
});
