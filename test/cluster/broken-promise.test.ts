import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { DeploymentView } from "../../packages/wire/src/index.ts";
import { breakingEngine, type BreakingEngine } from "./harness/breaking-engine.ts";
import { MODEL } from "./harness/cluster.ts";
import { makeHosts, type Host } from "./harness/hosts.ts";
import { startNode, type TestNode } from "./harness/node.ts";
import { openStream } from "./harness/stream.ts";

/** A decode step passes a result between two stages, once that has been learnt from the first few. */
const TOKENS = 40;

const network = makeHosts(["a", "b", "c"]);
const started: TestNode[] = [];
let engine: BreakingEngine;
let head: TestNode;

const log = (): readonly string[] => head.events.flatMap((event) => (event.event === "log" ? [String(event["message"])] : []));
async function readyAfter(epoch: number): Promise<DeploymentView> {
  const isReady = (view: DeploymentView): boolean => view.model === MODEL && view.state === "ready" && view.epoch > epoch;
  const state = await head.until(({ deployments }) => deployments.some(isReady), `ready after start ${epoch}`);
  return state.deployments.find(isReady) as DeploymentView;
}

beforeAll(async () => {
  engine = await breakingEngine();
  const [first, ...others] = network.hosts as [Host, ...Host[]];
  head = await startNode(first, { args: ["--cluster", "promises"], env: { CLUSTERD_ENGINE_DIR: engine.dir } });
  started.push(head);
  const mesh = network.isolated ? [] : ["--peer", String(((await head.event("ready"))["mesh"] as string[])[0])];
  await head.event("ready");
  const token = (await head.run("token")).stdout.trim();
  for (const host of others) started.push(await startNode(host, { args: ["--token", token, ...mesh] }));
  await head.until(({ nodes }) => nodes.filter(({ state }) => state === "alive").length === 3, "a cluster of three");
  const pins = ["--pin", "a=0-5", "--pin", "b=6-10", "--pin", "c=11-15"];
  const loaded = await head.run("load", "demo", "--head", "a", ...pins, "--wait");
  expect(loaded.status, loaded.stderr).toBe(0);
});
afterAll(async () => {
  await Promise.all(started.map((node) => node[Symbol.asyncDispose]()));
  network[Symbol.dispose]();
  if (engine !== undefined) await rm(dirname(engine.dir), { recursive: true, force: true });
});

test("a promise that is not kept ends the pipeline by name; the next start goes without, and answers the same", async () => {
  const { epoch } = await readyAfter(0);
  const whole = await (await openStream(head, { tokens: TOKENS })).end;
  expect(whole).toMatchObject({ done: true, error: null });

  const stream = await openStream(head);
  await stream.came(TOKENS);
  await writeFile(engine.flag, "");
  const cut = await stream.end;
  // It was there to be broken: results do go from stage to stage.
  expect(existsSync(engine.flag)).toBe(false);
  expect(cut.done).toBe(false);
  expect(cut.error).toMatchObject({
    code: "engine_crashed",
    message: expect.stringMatching(
      /Between the head and the worker on [bc] \(layers (6-10|11-15)\): the head's engine changed what/,
    ),
  });
  // Not one token came of what was bent.
  expect(cut.text.startsWith(whole.text)).toBe(true);

  await readyAfter(epoch);
  await writeFile(engine.flag, "");
  const again = await (await openStream(head, { tokens: TOKENS })).end;
  expect(again).toMatchObject({ done: true, error: null, text: whole.text });
  // Nothing was promised any more.
  expect(existsSync(engine.flag)).toBe(true);
  expect(log().filter((line) => line.includes("changed what it was to pass on")).length).toBeGreaterThan(0);
});
