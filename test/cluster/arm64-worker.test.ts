import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ensureEngine } from "../../packages/engine/src/index.ts";
import { arm64Engine, findArm64Tools, type Arm64Engine } from "./harness/arm64-engine.ts";
import { makeHosts, type Host } from "./harness/hosts.ts";
import { startNode, type TestNode } from "./harness/node.ts";
import { enginesOf, isAlive } from "./harness/processes.ts";

const MODEL = "demo-16l-q8_0";
/** `e_machine` of an ELF file. */
const ELF_MACHINE_OFFSET = 18;
const ELF_AARCH64 = 183;
/**
 * Two architectures round differently, and a greedy answer may go on with another word only where the two likeliest were all but even,
 * as words of a story are: 5 of 15 stories did, at 0.001 to 0.024 nats.
 */
const NEAR_TIE_NATS = 0.1;
/** Most answers leave no choice. */
const PARTED_SHARE_MAX = 0.25;

interface Question {
  readonly prompt: string;
  readonly expect: string;
  readonly match: "exact" | "contains";
}

/** Of a word of an answer, the likeliest first. */
interface Token {
  readonly token: string;
  readonly top_logprobs: readonly { readonly token: string; readonly logprob: number }[];
}

interface Answer {
  readonly text: string;
  readonly tokens: readonly Token[];
}

const all = JSON.parse(readFileSync(resolve(import.meta.dirname, "../../models/questions.json"), "utf8")) as readonly Question[];
/** Some of every kind, which come sorted, and the stories: long, and with more than one right answer. */
const questions = all.filter(({ match }, index) => match === "contains" || index % 5 === 0);
const tools = await findArm64Tools();
const missing = "missing" in tools ? tools.missing : null;

/** Where `other` first takes another word: how much likelier the one's own was than that; null where they are the same. */
function partingGap(one: Answer, other: Answer): number | null {
  if (one.text === other.text) return null;
  const at = one.tokens.findIndex(({ token }, index) => token !== other.tokens[index]?.token);
  const [own, next] = one.tokens[at]?.top_logprobs ?? [];
  const isNext = next !== undefined && next.token === other.tokens[at]?.token;
  return own === undefined || !isNext ? Infinity : own.logprob - next.logprob;
}

describe.skipIf(missing !== null)(`a worker of another architecture${missing === null ? "" : ` (${missing})`}`, () => {
  let network: ReturnType<typeof makeHosts>;
  let engine: Arm64Engine;
  let native: TestNode;
  let arm64: TestNode;
  const started: TestNode[] = [];
  const single = new Map<string, Answer>();

  async function start(host: Host, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<TestNode> {
    const node = await startNode(host, { args, env });
    started.push(node);
    return node;
  }
  async function ask(prompt: string): Promise<Answer> {
    const text = await native.post("/v1/chat/completions", {
      model: MODEL,
      messages: [{ role: "user", content: prompt }],
      temperature: 0,
      max_tokens: 900,
      logprobs: true,
      top_logprobs: 2,
    });
    const answer = JSON.parse(text) as {
      choices?: { message: { content: string }; logprobs: { content: readonly Token[] } }[];
    };
    const choice = answer.choices?.[0];
    return choice === undefined ? { text, tokens: [] } : { text: choice.message.content, tokens: choice.logprobs.content };
  }

  beforeAll(async () => {
    if ("missing" in tools) return;
    engine = await arm64Engine(await ensureEngine(), tools);
    network = makeHosts(["native", "arm64"]);
    const [hostNative, hostArm64] = network.hosts as [Host, Host];
    native = await start(hostNative, ["--cluster", "mixed", "--load", "demo"]);
    await native.until((state) => state.deployments[0]?.state === "ready", "ready alone");
    // The same model in one process of this machine's own architecture.
    for (const { prompt } of questions) single.set(prompt, await ask(prompt));
    expect((await native.run("unload", "demo")).status).toBe(0);
    const mesh = network.isolated ? [] : ["--peer", String(((await native.event("ready"))["mesh"] as string[])[0])];
    const token = (await native.run("token")).stdout.trim();
    arm64 = await start(hostArm64, ["--token", token, ...mesh], { CLUSTERD_ENGINE_DIR: engine.dir });
    await arm64.event("admitted");
    await native.until((state) => state.nodes.filter((node) => node.state === "alive").length === 2, "a cluster of two");
  });

  afterAll(async () => {
    await Promise.all(started.map((node) => node[Symbol.asyncDispose]()));
    network[Symbol.dispose]();
  });

  test("takes layers of a model whose head is native", async () => {
    const loaded = await native.run("load", "demo", "--objective", "spread", "--head", "native", "--wait", "--json");
    expect(loaded.status, loaded.stderr).toBe(0);
    const { nodes, deployments } = await native.until((now) => now.deployments[0]?.state === "ready", "ready");
    const named = (id: string | undefined): string | undefined => nodes.find((node) => node.id === id)?.name;
    const stages = deployments[0]?.stages ?? [];
    expect(named(deployments[0]?.head)).toBe("native");
    expect(stages.map((stage) => named(stage.node))).toEqual(["native", "arm64"]);
    expect(stages[0]?.firstLayer).toBe(0);
    expect(stages[1]?.firstLayer).toBe((stages[0]?.lastLayer ?? NaN) + 1);
    expect(stages[1]?.lastLayer).toBe(15);
    // What computes them is arm64 code, on an emulated processor.
    const [worker, ...others] = enginesOf(arm64.pid);
    expect(others).toEqual([]);
    expect(worker?.args).toMatch(/qemu-aarch64/);
    expect(worker?.args).toContain(engine.rpcServer);
    expect(readFileSync(engine.rpcServer).readUInt16LE(ELF_MACHINE_OFFSET)).toBe(ELF_AARCH64);
  });

  test("answers every question right, and as a single process does but for near ties", async () => {
    const parted: { readonly prompt: string; readonly nats: number }[] = [];
    for (const { prompt, ...wanted } of questions) {
      const answer = await ask(prompt);
      if (wanted.match === "exact") expect(answer.text).toBe(wanted.expect);
      else expect(answer.text, prompt).toContain(wanted.expect);
      const nats = partingGap(single.get(prompt) ?? { text: "", tokens: [] }, answer);
      if (nats !== null) parted.push({ prompt, nats });
    }
    const told = `${parted.length} of ${questions.length} answers part: ${JSON.stringify(parted)}`;
    for (const { nats } of parted) expect(nats, told).toBeLessThan(NEAR_TIE_NATS);
    expect(parted.length, told).toBeLessThanOrEqual(questions.length * PARTED_SHARE_MAX);
  });

  test("leaves no process behind, the emulator neither", async () => {
    const before = [native, arm64].flatMap((node) => enginesOf(node.pid));
    expect(before.length).toBeGreaterThanOrEqual(2);
    expect((await native.run("unload", "demo")).status).toBe(0);
    for (const { pid } of before) await expect.poll(() => isAlive(pid), { timeout: 15_000 }).toBe(false);
    expect([native, arm64].flatMap((node) => enginesOf(node.pid))).toEqual([]);
  });
});
