import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { SpeculationView } from "../../packages/wire/src/index.ts";
import { makeHosts, type Host } from "./harness/hosts.ts";
import { startNode, type TestNode } from "./harness/node.ts";

const MODEL = resolve(import.meta.dirname, "../../models/demo-16l-q8_0.gguf");
const MAKE_MODEL = resolve(import.meta.dirname, "../../scripts/make-model.ts");
const REPEATING = "apple, pear, plum, cherry, grape, melon, apple, pear, plum, cherry, grape, melon,";
const TOKENS = 150;

const network = makeHosts(["a", "b"]);
const [hostA, hostB] = network.hosts as [Host, Host];
let a: TestNode;
let b: TestNode;

interface Answer {
  readonly choices: readonly { readonly text: string }[];
  readonly timings: { readonly draft_n?: number; readonly draft_n_accepted?: number };
}

beforeAll(async () => {
  a = await startNode(hostA, { args: ["--cluster", "lab"] });
  await a.event("ready");
  const mesh = network.isolated ? [] : ["--peer", String(((await a.event("ready"))["mesh"] as string[])[0])];
  b = await startNode(hostB, { args: ["--token", (await a.run("token")).stdout.trim(), ...mesh] });
  await b.event("admitted");
  await a.until(({ nodes }) => nodes.filter(({ state }) => state === "alive").length === 2, "two nodes");
});

afterAll(async () => {
  await Promise.all([a, b].map((node) => node[Symbol.asyncDispose]()));
  network[Symbol.dispose]();
});

/** Loads the model over both hosts, and has the one that is not the head go on with a text that repeats itself. */
async function loaded(
  ...flags: string[]
): Promise<{ readonly answer: Answer; readonly speculation: SpeculationView | undefined }> {
  const ran = await a.run("load", MODEL, "--objective", "spread", "--head", "a", "--wait", ...flags);
  expect(ran.stderr + ran.stdout).toContain("is ready");
  await b.until(({ deployments }) => deployments[0]?.state === "ready", "ready");
  const body = { model: "demo", prompt: REPEATING, max_tokens: TOKENS, temperature: 0 };
  const answer = JSON.parse(await b.post("/v1/completions", body)) as Answer;
  const after = await b.until(
    ({ deployments }) => deployments[0]?.speculation.type === "off" || deployments[0]?.speculation.acceptance !== null,
    "told of the acceptance",
  );
  expect(after.deployments[0]?.stages).toHaveLength(2);
  return { answer, speculation: after.deployments[0]?.speculation };
}

test("however a deployment speculates and caches, from any node the text is the same", async () => {
  const plain = await loaded("--speculation", "off");
  expect(plain.answer.timings.draft_n).toBeUndefined();
  expect(plain.speculation).toEqual({ type: "off", draft: null, acceptance: null, active: false });

  const ngram = await loaded();
  expect(ngram.answer.choices[0]?.text).toBe(plain.answer.choices[0]?.text);
  expect(ngram.answer.timings.draft_n_accepted).toBeGreaterThan(0);
  expect(ngram.speculation).toMatchObject({ type: "ngram", draft: null });

  const drafted = await loaded("--draft", MODEL);
  expect(drafted.answer.choices[0]?.text).toBe(plain.answer.choices[0]?.text);
  expect(drafted.speculation).toMatchObject({ type: "draft", draft: "demo-16l-q8_0" });
  expect(drafted.speculation?.acceptance).toBeGreaterThan(0.5);

  for (const kv of ["q8_0", "q4_0"]) {
    const cached = await loaded("--kv", kv);
    expect(cached.answer.choices[0]?.text).toContain("apple, pear, plum, cherry, grape, melon");
  }
});

test("what cannot be is refused with its reason, and what runs goes on", async () => {
  const before = (await a.state()).deployments[0];
  const refused = await a.run("load", MODEL, "--speculation", "mtp");
  expect(refused.status).toBe(1);
  expect(refused.stderr).toContain("no layers for multi-token prediction");
  const usage = await a.run("load", MODEL, "--speculation", "draft");
  expect(usage.status).toBe(2);
  expect((await a.state()).deployments[0]).toMatchObject({ state: "ready", epoch: before?.epoch });
});

/** A model that counts, over both hosts, and what it says after a fox. */
async function counting(
  path: string,
  ...flags: string[]
): Promise<{ readonly model: string; readonly ask: () => Promise<Answer>; readonly deployment: () => Promise<unknown> }> {
  const ran = await a.run("load", path, "--objective", "spread", "--head", "a", "--wait", ...flags);
  expect(ran.stderr + ran.stdout).toContain("is ready");
  const model = /([^/]+)\.gguf$/.exec(path)?.[1] ?? "";
  await b.until(({ deployments }) => deployments.some((one) => one.model === model && one.state === "ready"), "ready");
  return {
    model,
    ask: async () =>
      JSON.parse(
        await b.post("/v1/completions", { model, prompt: "The quick brown fox", max_tokens: 60, temperature: 0 }),
      ) as Answer,
    deployment: async () => (await a.state()).deployments.find((one) => one.model === model),
  };
}

test("a model with layers for later tokens guesses with them by itself, and no more where they guess wrong", async () => {
  const folder = await mkdtemp(join(tmpdir(), "clusterd-guessing-"));
  try {
    const make = async (name: string, ...flags: string[]): Promise<string> => {
      const path = join(folder, `${name}.gguf`);
      const shape = ["--arch", "deepseek2", "--layers", "4", "--width", "128", "--next-token-layers", "1"];
      await promisify(execFile)(process.execPath, [MAKE_MODEL, path, ...shape, "--counting", ...flags]);
      return path;
    };
    const right = await counting(await make("right"));
    const guessed = await right.ask();
    expect(guessed.timings.draft_n).toBeGreaterThan(30);
    expect(guessed.timings.draft_n_accepted).toBe(guessed.timings.draft_n);
    expect(await right.deployment()).toMatchObject({ speculation: { type: "mtp", draft: null, active: true } });
    expect(await right.deployment()).toMatchObject({ stages: [{ firstLayer: 0 }, { lastLayer: 3 }] });
    const plain = await (await counting(join(folder, "right.gguf"), "--speculation", "off")).ask();
    expect(plain.timings.draft_n).toBeUndefined();
    expect(guessed.choices[0]?.text).toBe(plain.choices[0]?.text);

    const wrong = await counting(await make("wrong", "--bad-guesses"), "--speculation", "mtp");
    const first = await wrong.ask();
    expect(first.timings.draft_n).toBeGreaterThan(100);
    expect(first.timings.draft_n_accepted).toBe(0);
    await a.until(
      ({ deployments }) => deployments.some(({ model, speculation }) => model === "wrong" && !speculation.active),
      "speculation that does not pay is off",
    );
    const after = await wrong.ask();
    expect(after.timings.draft_n).toBeUndefined();
    expect(after.choices[0]?.text).toBe(first.choices[0]?.text);
    for (const model of ["right", "wrong"]) await a.run("unload", model);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
