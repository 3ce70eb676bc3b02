// Predicted beside measured speed: hosts with unequal processors and links, many placements of two models, before anything was decoded
// (bandwidths probed, links measured) and after (bandwidths from decoding).
// Usage: node scripts/bench/prediction.ts --model FILE.gguf --model FILE.gguf [--tokens 96] [--json]      (root only)
import { parseArgs } from "node:util";
import type { Placement } from "../../packages/wire/src/index.ts";
import { withCpuQuota } from "../../test/cluster/harness/cpu-quota.ts";
import { makeHosts } from "../../test/cluster/harness/hosts.ts";
import { startNode, type TestNode } from "../../test/cluster/harness/node.ts";
import { describeMachine, median } from "./machine.ts";
import { outcomeLines, type Outcome } from "./prediction-table.ts";

const { values } = parseArgs({
  options: {
    model: { type: "string", multiple: true, default: [] },
    tokens: { type: "string", default: "96" },
    json: { type: "boolean", default: false },
  },
});
const TOKENS = Number(values.tokens);
const CONTEXT = 512;
/** So that a good part of the context is filled, as predictions assume. */
const PROMPT = "The quick brown fox jumps over the lazy dog and runs into the wood where the owl sits. ".repeat(3);
const LINKS_MS_MAX = 90_000;

/** Share of a core, and what its cable lets through. */
const HOSTS = { full: [1, "1gbit"], half: [0.5, "200mbit"], quarter: [0.25, "50mbit"] } as const;
type HostName = keyof typeof HOSTS;

/** Layers by host as shares of the model, the first being the head's where it has any. */
interface Case {
  readonly head: HostName;
  readonly shares: readonly (readonly [HostName, number])[];
}
const CASES: readonly Case[] = [
  { head: "full", shares: [["full", 1]] },
  {
    head: "full",
    shares: [
      ["full", 0.5],
      ["half", 0.5],
    ],
  },
  {
    head: "full",
    shares: [
      ["full", 0.75],
      ["quarter", 0.25],
    ],
  },
  {
    head: "full",
    shares: [
      ["half", 0.75],
      ["quarter", 0.25],
    ],
  },
  {
    head: "full",
    shares: [
      ["full", 0.5],
      ["half", 0.25],
      ["quarter", 0.25],
    ],
  },
  {
    head: "half",
    shares: [
      ["half", 0.25],
      ["full", 0.75],
    ],
  },
];

const say = (line: string): void => void process.stderr.write(`${line}\n`);

function flagsOf({ head, shares }: Case, layerCount: number): string[] {
  let next = 0;
  const pins = shares.map(([host, share], index) => {
    const last = index === shares.length - 1 ? layerCount - 1 : next + Math.round(share * layerCount) - 1;
    const pin = `${host}=${next}-${last}`;
    next = last + 1;
    return pin;
  });
  const place = ["--head", head, ...pins.flatMap((pin) => ["--pin", pin])];
  return [...place, "--ctx", String(CONTEXT), "--slots", "1", "--speculation", "off"];
}

async function json<Value>(node: TestNode, ...args: string[]): Promise<Value> {
  const ran = await node.run(...args, "--json");
  if (ran.status !== 0) throw new Error(`${args.join(" ")}: ${ran.stderr}`);
  return JSON.parse(ran.stdout.trim().split("\n").at(-1) ?? "") as Value;
}

interface Run {
  readonly model: string;
  readonly at: Case;
  readonly layerCount: number;
}

async function predicted(node: TestNode, { model, at, layerCount }: Run): Promise<Placement> {
  return json<Placement>(node, "plan", model, ...flagsOf(at, layerCount));
}

async function measured(node: TestNode, { model, at, layerCount }: Run): Promise<number> {
  const { model: id } = await json<{ model: string }>(node, "load", model, ...flagsOf(at, layerCount), "--wait");
  const body = { model: id, prompt: PROMPT, max_tokens: TOKENS, temperature: 0, ignore_eos: true };
  const answer = JSON.parse(await node.post("/v1/completions", body)) as { timings?: { predicted_per_second?: number } };
  // The calibration looks at what was decoded every few seconds.
  await new Promise((done) => setTimeout(done, 4_000));
  await json(node, "unload", id);
  const tokensPerSecond = answer.timings?.predicted_per_second;
  if (tokensPerSecond === undefined) throw new Error(`no answer: ${JSON.stringify(answer)}`);
  return tokensPerSecond;
}

async function pass(node: TestNode, runs: readonly Run[], when: Outcome["when"]): Promise<Outcome[]> {
  // All predictions first: what one run teaches must not help another.
  const plans: Placement[] = [];
  for (const run of runs) plans.push(await predicted(node, run));
  const outcomes: Outcome[] = [];
  for (const [index, run] of runs.entries()) {
    const plan = plans[index] as Placement;
    const tokensPerSecond = await measured(node, run);
    const { predicted: foretold, stages } = plan;
    const text = stages.map((stage) => `${stage.node} ${stage.firstLayer}-${stage.lastLayer}`).join(", ");
    outcomes.push({
      when,
      model: plan.model.name,
      placement: `${text}; head ${plan.head}`,
      predicted: foretold.tokensPerSecond,
      low: foretold.low,
      high: foretold.high,
      measured: tokensPerSecond,
    });
    say(`${when}: ${text}: ${foretold.tokensPerSecond.toFixed(2)} predicted, ${tokensPerSecond.toFixed(2)} measured`);
  }
  return outcomes;
}

async function main(): Promise<void> {
  if (values.model.length === 0) throw new Error("Name at least one --model FILE.gguf (scripts/make-model.ts makes some).");
  using network = makeHosts(Object.keys(HOSTS));
  if (!network.isolated) throw new Error("This needs root: network namespaces and control groups.");
  await using stack = new AsyncDisposableStack();
  const nodes: TestNode[] = [];
  for (const host of network.hosts) {
    const [cores, rate] = HOSTS[host.name as HostName];
    host.link?.limit(rate);
    const quota = stack.use(withCpuQuota(host, cores));
    const [first] = nodes;
    const admission = first === undefined ? ["--cluster", "bench"] : ["--token", (await first.run("token")).stdout.trim()];
    const node = stack.use(await startNode(quota, { args: admission }));
    await node.event(first === undefined ? "ready" : "admitted");
    nodes.push(node);
  }
  const [first] = nodes as [TestNode];
  for (const node of nodes) for (const model of values.model) await node.run("plan", model);
  say("waiting for the links to be measured");
  const deadline = performance.now() + LINKS_MS_MAX;
  for (;;) {
    const { nodes: known } = await first.peek();
    const links = known.flatMap((node) => node.links);
    if (links.length >= nodes.length * (nodes.length - 1) && links.every((link) => link.bytesPerSecond > 0)) break;
    if (performance.now() > deadline) throw new Error("The links were not measured in time.");
    await new Promise((done) => setTimeout(done, 1_000));
  }
  const { nodes: known } = await first.peek();
  for (const { name, device, links } of known) {
    const rates = links.map((link) => `${(link.bytesPerSecond / 1e6).toFixed(1)} MB/s ${link.rttMs} ms`).join(", ");
    say(`${name}: ${(device.bandwidthBytesPerSecond / 1e9).toFixed(2)} GB/s (${device.bandwidthSource}); links ${rates}`);
  }
  const runs: Run[] = [];
  for (const model of values.model) {
    const { model: shape } = await json<Placement>(first, "plan", model, "--ctx", String(CONTEXT));
    for (const at of CASES) runs.push({ model, at, layerCount: shape.layerCount });
  }
  const outcomes = [...(await pass(first, runs, "probed")), ...(await pass(first, runs, "calibrated"))];
  if (values.json) console.log(JSON.stringify(outcomes));
  else {
    const share = Object.entries(HOSTS).map(([name, [cores, rate]]) => `\`${name}\` ${cores * 100} % of a core, ${rate}`);
    console.log(
      `Machine: ${describeMachine()}. Hosts: ${share.join("; ")}. One thread each, context ${CONTEXT}, ${TOKENS} tokens.\n`,
    );
    for (const line of outcomeLines(outcomes, median)) console.log(line);
  }
}

await main();
