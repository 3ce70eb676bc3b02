// What the gateway costs: streams straight from a llama-server, through the gateway of its own node, and through the gateway of another
// node and a tunnel, taking turns in one run against the same llama-server. Linux: the llama-server behind is found in /proc.
// Usage: node scripts/bench/gateway.ts [--model REF] [--streams 1,4] [--rounds N] [--tokens N] [--warm N] [--json]
import { Agent } from "node:http";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readDaemonRecord } from "../../packages/daemon/src/home/index.ts";
import { startNode, type DemoNode } from "../demo/demo-node.ts";
import { engineBehind } from "./engine-behind.ts";
import { describeMachine, median } from "./machine.ts";
import { processCpuMs } from "./process-cpu.ts";
import { timedStream, type StreamTarget } from "./timed-stream.ts";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "demo" },
    streams: { type: "string", default: "1,4" },
    rounds: { type: "string", default: "20" },
    tokens: { type: "string", default: "96" },
    warm: { type: "string", default: "200" },
    json: { type: "boolean", default: false },
  },
});
const ROUNDS = Number(values.rounds);
const TOKENS = Number(values.tokens);
const STREAMS = values.streams.split(",").map(Number);
const SLOTS = Math.max(...STREAMS);
/** A daemon that has been up for a while runs compiled code: what passes each way before anything counts. */
const WARM_REQUESTS = Number(values.warm);
const WARM_REQUEST_TOKENS = 16;
const CONTEXT = 512;
/** The demo model's end of turn and end of text: answers are to be of equal length. */
const ENDS = { "1": -100, "2": -100 };

const WAYS = ["engine", "head", "other"] as const;
type Way = (typeof WAYS)[number];
const TOLD: Readonly<Record<Way, string>> = {
  engine: "straight to llama-server",
  head: "gateway of the head",
  other: "gateway of another node",
};

interface Turn {
  readonly tokensPerSecond: number;
  readonly firstTokenMs: number;
  readonly gapsMs: readonly number[];
  /** Of both daemons together. */
  readonly cpuMsPerToken: number;
}

interface Bench {
  readonly targets: Readonly<Record<Way, StreamTarget & { readonly model: string }>>;
  readonly daemons: readonly number[];
}

let asked = 0;

/** Prompts are alike in length and differ from the first word on: none finds the last one's in the slot's cache. */
function bodyFor(model: string, tokens: number): string {
  asked += 1;
  const content = `${10_000_000 + asked * 7_919} is a number. Tell a long story in which it matters.`;
  const messages = [{ role: "user", content }];
  return JSON.stringify({ model, messages, stream: true, max_tokens: tokens, temperature: 0, logit_bias: ENDS });
}

async function cpuMs({ daemons }: Bench): Promise<number> {
  const times = await Promise.all(daemons.map((pid) => processCpuMs(pid)));
  return times.reduce<number>((sum, ms) => sum + (ms ?? 0), 0);
}

async function turn(bench: Bench, way: Way, streams: number, tokensEach = TOKENS): Promise<Turn> {
  const target = bench.targets[way];
  const cpuBefore = await cpuMs(bench);
  const all = await Promise.all(Array.from({ length: streams }, () => timedStream(target, bodyFor(target.model, tokensEach))));
  const tokens = all.reduce((sum, stream) => sum + stream.tokens, 0);
  const firsts = all.map(({ firstTokenMs }) => firstTokenMs);
  return {
    // Of all streams together, the first token of each left out: its time is told by itself.
    tokensPerSecond: all.reduce((sum, stream) => sum + (stream.tokens - 1) / (stream.decodeMs / 1e3), 0),
    firstTokenMs: median(firsts),
    gapsMs: all.flatMap(({ gapsMs }) => gapsMs),
    cpuMsPerToken: ((await cpuMs(bench)) - cpuBefore) / tokens,
  };
}

async function measure(bench: Bench, streams: number): Promise<void> {
  const turns: Record<Way, Turn[]> = { engine: [], head: [], other: [] };
  for (let round = 0; round < ROUNDS; round += 1) {
    // Who goes first takes turns as well.
    for (let index = 0; index < WAYS.length; index += 1) {
      const way = WAYS[(index + round) % WAYS.length] as Way;
      turns[way].push(await turn(bench, way, streams));
    }
  }
  for (const way of WAYS) report(streams, way, turns[way], turns.engine);
}

async function warmUp(bench: Bench): Promise<void> {
  for (let requests = 0; requests < WARM_REQUESTS; requests += SLOTS) {
    for (const way of WAYS) await turn(bench, way, SLOTS, WARM_REQUEST_TOKENS);
  }
}

const round = (value: number, digits: number): number => Number(value.toFixed(digits));

function percentile(valuesMs: readonly number[], share: number): number {
  const sorted = [...valuesMs].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

function report(streams: number, way: Way, turns: readonly Turn[], engine: readonly Turn[]): void {
  const gapsMs = turns.flatMap((one) => one.gapsMs);
  const ratios = turns.map((one, index) => one.tokensPerSecond / (engine[index]?.tokensPerSecond ?? Number.NaN));
  const addedMs = turns.map((one, index) => one.firstTokenMs - (engine[index]?.firstTokenMs ?? Number.NaN));
  const result = {
    ...{ streams, way },
    tokensPerSecond: round(median(turns.map((one) => one.tokensPerSecond)), 1),
    ratio: round(median(ratios), 3),
    firstTokenMs: round(median(turns.map((one) => one.firstTokenMs)), 1),
    addedMs: round(median(addedMs), 1),
    gapP50Ms: round(percentile(gapsMs, 0.5), 2),
    gapP99Ms: round(percentile(gapsMs, 0.99), 2),
    daemonsCpuMsPerToken: round(turns.reduce((sum, one) => sum + one.cpuMsPerToken, 0) / turns.length, 3),
  };
  if (values.json) console.log(JSON.stringify(result));
  else console.log(`| ${Object.values({ ...result, way: TOLD[way] }).join(" | ")} |`);
}

async function pidOf(home: string): Promise<number> {
  const record = await readDaemonRecord(home);
  if (record === null) throw new Error(`There is no daemon of ${home}.`);
  return record.pid;
}

const folder = await mkdtemp(join(tmpdir(), "clusterd-bench-"));
const abort = new AbortController();
process.once("SIGINT", () => abort.abort());
const nodes: DemoNode[] = [];
try {
  const { signal } = abort;
  const home = (name: string): string => join(folder, name);
  const head = await startNode({ name: "head", home: home("head"), args: ["--cluster", "bench"], signal });
  nodes.push(head);
  const token = (await head.command(["token"])).trim();
  const other = await startNode({
    ...{ name: "other", home: home("other"), signal },
    args: ["--token", token, "--peer", head.mesh],
  });
  nodes.push(other);
  await head.whenNodes(nodes.length);
  const wish = ["--head", "head", "--without", "other", "--ctx", String(CONTEXT), "--slots", String(SLOTS)];
  await head.command(["load", values.model, ...wish, "--speculation", "off", "--wait"]);
  const daemons = [await pidOf(home("head")), await pidOf(home("other"))];
  const model = (await head.state()).deployments[0]?.model ?? values.model;
  // A connection per request: llama-server closes those it has kept for a while, whoever is about to use them.
  const agent = (): Agent => new Agent({ keepAlive: false });
  const bench: Bench = {
    daemons,
    targets: {
      engine: { ...(await engineBehind(daemons[0] ?? 0)), model, agent: agent() },
      head: { url: head.api, apiKey: null, model, agent: agent() },
      other: { url: other.api, apiKey: null, model, agent: agent() },
    },
  };
  if (!values.json) {
    console.log(`Machine: ${describeMachine()}.`);
    console.log(`${model}, ${TOKENS} tokens per stream, one thread, medians of ${ROUNDS} rounds.\n`);
    const titles =
      "streams | way | tokens/s, all | ratio | first token, ms | more, ms | gap p50, ms | gap p99, ms | daemons' CPU ms per token";
    console.log(`| ${titles} |\n|${" --- |".repeat(titles.split(" | ").length)}`);
  }
  await warmUp(bench);
  for (const streams of STREAMS) await measure(bench, streams);
} finally {
  for (const node of nodes.reverse()) await node[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
}
