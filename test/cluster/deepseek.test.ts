import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Placement } from "../../packages/wire/src/index.ts";
import { startCluster, type Cluster } from "./harness/cluster.ts";
import { makeHosts } from "./harness/hosts.ts";

const MAKE_MODEL = resolve(import.meta.dirname, "../../scripts/make-model.ts");
const NAMES = ["n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8"] as const;
/** As DeepSeek-V3 has: latent attention, three dense layers in front, the others a mixture of experts. Only its widths are small. */
const LAYERS = 61;
const TOKENS = 32;

const network = makeHosts(NAMES);
let cluster: Cluster;
let folder: string;
let model: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-deepseek-"));
  model = join(folder, "deepseek-small.gguf");
  const shape = ["--arch", "deepseek2", "--layers", String(LAYERS), "--width", "256", "--experts", "8"];
  await promisify(execFile)(process.execPath, [MAKE_MODEL, model, ...shape]);
  cluster = await startCluster(network.hosts, "lab");
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  network[Symbol.dispose]();
  await rm(folder, { recursive: true, force: true });
});

async function text(prompt: string): Promise<string> {
  const body = { model: "deepseek-small", prompt, max_tokens: TOKENS, temperature: 0, ignore_eos: true };
  const answer = JSON.parse(await cluster.named("n8").post("/v1/completions", body)) as { choices?: { text: string }[] };
  return answer.choices?.[0]?.text ?? JSON.stringify(answer);
}

async function load(...flags: string[]): Promise<Placement> {
  const ran = await cluster.head.run("load", model, "--ctx", "512", "--speculation", "off", "--wait", "--json", ...flags);
  expect(ran.status, ran.stderr).toBe(0);
  return (JSON.parse(ran.stdout) as { plan: Placement }).plan;
}

test("61 layers of a DeepSeek's shape over eight hosts answer as one process does", async () => {
  const alone = await load();
  expect(alone.stages).toMatchObject([{ node: alone.head, firstLayer: 0, lastLayer: LAYERS - 1 }]);
  const prompts = ["What is the capital of France?", "Once upon a time there was"];
  const golden = [await text(prompts[0] ?? ""), await text(prompts[1] ?? "")];
  expect(golden[0]).not.toBe(golden[1]);

  const spread = await load("--objective", "spread");
  expect(spread.stages.map(({ node }) => node).toSorted()).toEqual([...NAMES]);
  expect(spread.model.layers.filter(({ activeBytes, weightBytes }) => activeBytes < weightBytes * 0.9).length).toBeGreaterThan(
    50,
  );
  expect([await text(prompts[0] ?? ""), await text(prompts[1] ?? "")]).toEqual(golden);
});
