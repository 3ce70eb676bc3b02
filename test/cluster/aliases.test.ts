import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MODEL, startCluster, type Cluster } from "./harness/cluster.ts";
import { makeHosts } from "./harness/hosts.ts";
import { writeVariant } from "./harness/model-copies.ts";
import type { TestNode } from "./harness/node.ts";
import { openStream } from "./harness/stream.ts";

const MAKE_MODEL = resolve(import.meta.dirname, "../../scripts/make-model.ts");
const CONVERSATIONS = 24;
const make = async (path: string, ...flags: readonly string[]): Promise<string> => {
  await promisify(execFile)(process.execPath, [MAKE_MODEL, path, ...flags]);
  return path;
};

const network = makeHosts(["a", "b", "c"]);
let cluster: Cluster;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-test-models-"));
  cluster = await startCluster(network.hosts, "aliases");
});
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  network[Symbol.dispose]();
  await rm(folder, { recursive: true, force: true });
});

interface Answer {
  readonly model: string;
  readonly content: string;
}

async function ask(node: TestNode, model: string, question = "What is the capital of France?"): Promise<Answer> {
  const text = await node.post("/v1/chat/completions", {
    model,
    messages: [{ role: "user", content: question }],
    temperature: 0,
    max_tokens: 16,
  });
  const answer = JSON.parse(text) as { model?: string; choices?: { message: { content: string } }[] };
  return { model: answer.model ?? text, content: answer.choices?.[0]?.message.content ?? text };
}

async function run(node: TestNode, ...args: readonly string[]): Promise<unknown> {
  const ran = await node.run(...args, "--json");
  expect(ran.status, ran.stderr).toBe(0);
  return JSON.parse(ran.stdout);
}

test("two models answer side by side on the same hosts; one that does not fit beside them is refused with numbers", async () => {
  const { head, named } = cluster;
  const second = await make(join(folder, "second.gguf"), "--layers", "6", "--width", "128");
  await run(head, "load", "demo", "--objective", "spread", "--wait");
  await run(head, "load", second, "--objective", "spread", "--wait");
  const state = await named("c").until(
    (now) => now.deployments.filter((view) => view.state === "ready").length === 2,
    "told of two models",
  );
  for (const { stages } of state.deployments) expect(new Set(stages.map(({ node }) => node)).size).toBe(3);
  const answers = await Promise.all(["a", "b", "c"].flatMap((name) => [MODEL, "second"].map((model) => ask(named(name), model))));
  expect(answers.map(({ model }) => model)).toEqual([MODEL, "second", MODEL, "second", MODEL, "second"]);
  answers.forEach(({ content }, index) => expect(content.includes("Paris")).toBe(index % 2 === 0));

  const giant = await make(join(folder, "giant.gguf"), "--preset", "deepseek-v3", "--header-only", "--type", "f16");
  const refused = await head.run("load", giant, "--json");
  expect(refused.status, refused.stderr).toBe(5);
  const { error } = JSON.parse(refused.stdout) as { error: { code: string; details: Record<string, number> } };
  expect(error).toMatchObject({ code: "does_not_fit", details: { feasible: false, reason: "memory" } });
  const { bytesNeeded = 0, bytesAvailable = 0, shortByBytes = 0 } = error.details;
  expect(bytesNeeded - bytesAvailable).toBe(shortByBytes);
  expect(shortByBytes).toBeGreaterThan(0);
  expect((await ask(named("b"), MODEL)).content).toContain("Paris");
  await run(head, "unload", "second");
});

test("an alias is switched under a stream, which ends where it began; the next request goes elsewhere, and back again", async () => {
  const { head, named } = cluster;
  const other = await writeVariant(folder, "other");
  await run(head, "load", other, "--head", "a", "--without", "b", "--without", "c", "--wait");
  await run(named("b"), "alias", "Stable", MODEL);
  const [b, c] = [named("b"), named("c")];
  await expect.poll(async () => (await ask(c, "stable")).model).toBe(MODEL);

  let tokens = 0;
  const stream = await openStream(c, { model: "stable", onToken: () => (tokens += 1) });
  await stream.came(20);
  await run(c, "alias", "stable", "other");
  const [switched, seen] = [await ask(c, "stable"), tokens];
  expect(switched.model).toBe("other");
  const end = await stream.end;
  expect(end).toMatchObject({ done: true, error: null });
  expect(end.tokens).toBeGreaterThan(seen);
  await expect.poll(async () => (await ask(b, "STABLE")).model).toBe("other");

  expect(await run(b, "alias", "stable", "--back")).toMatchObject({ alias: "Stable", model: MODEL, canary: null });
  expect((await ask(b, "stable")).model).toBe(MODEL);
  const said = await c.run("run", "stable", "What is the capital of France?");
  expect(said.stdout, said.stderr).toContain("Paris");
});

test("a canary gets its share of the conversations, each its own model from every node, until it is promoted", async () => {
  const { named } = cluster;
  const [b, c] = [named("b"), named("c")];
  await run(b, "alias", "stable", "--canary", "other=40%");
  await expect.poll(async () => JSON.stringify(await run(c, "alias", "stable"))).toContain("0.4");
  const models = new Map<string, string>();
  for (let index = 0; index < CONVERSATIONS; index++) {
    const question = `What is ${index} and one?`;
    const { model } = await ask(b, "stable", question);
    expect((await ask(c, "stable", question)).model).toBe(model);
    models.set(question, model);
  }
  expect(new Set(models.values())).toEqual(new Set([MODEL, "other"]));
  await run(c, "alias", "stable", "--promote");
  expect((await ask(c, "stable")).model).toBe("other");
});

test("load --as leads an alias there; what cannot be one is refused, and one that is removed names nothing", async () => {
  const { head, named } = cluster;
  await run(head, "load", "demo", "--as", "prod");
  const state = await named("c").until((now) => now.deployments.some(({ aliases }) => aliases.includes("prod")), "told of it");
  expect(state.deployments.find(({ aliases }) => aliases.includes("prod"))).toMatchObject({ model: MODEL, epoch: 1 });
  for (const args of [
    ["other", MODEL],
    ["demo", "other"],
    ["new", "nothing-like-it"],
    ["prod", "--promote"],
  ])
    expect((await head.run("alias", ...args)).status, args.join(" ")).not.toBe(0);
  await run(head, "alias", "prod", "--remove");
  expect((await ask(head, "prod")).content).toContain("There is no model");
  const { aliases } = (await run(head, "alias")) as { aliases: { alias: string }[] };
  expect(aliases.map(({ alias }) => alias)).toEqual(["Stable"]);
});
