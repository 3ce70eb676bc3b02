// What the tunnels cost while decoding: tokens per second through two data planes ÷ straight to the same kind of rpc-servers, the two
// taking turns in one run. Usage: node scripts/bench/decode.ts [--model FILE.gguf]… [--rounds N] [--tokens N] [--json]
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ensureEngine } from "../../packages/engine/src/build/ensure-engine.ts";
import type { Engine } from "../../packages/engine/src/build/engine.ts";
import { startHead, type Head } from "../../packages/engine/src/head/start-head.ts";
import { startWorker, type Worker } from "../../packages/engine/src/worker/start-worker.ts";
import { readFile } from "node:fs/promises";
import { startBenchProcess, type BenchProcess } from "./bench-process.ts";
import { readMetadata } from "./gguf-metadata.ts";
import { describeMachine, median } from "./machine.ts";
import { processCpuMs } from "./process-cpu.ts";

const { values } = parseArgs({
  options: {
    model: {
      type: "string",
      multiple: true,
      default: [fileURLToPath(new URL("../../models/demo-16l-q8_0.gguf", import.meta.url))],
    },
    rounds: { type: "string", default: "6" },
    tokens: { type: "string", default: "128" },
    json: { type: "boolean", default: false },
  },
});
const ROUNDS = Number(values.rounds);
const TOKENS = Number(values.tokens);
const WORKERS = 2;
const CONTEXT = 1024;
const PLANE_SCRIPT = new URL("data-plane-process.ts", import.meta.url);

/** A pipeline and the processes whose work it is. */
interface Pipeline {
  readonly head: Head;
  readonly pids: Readonly<Record<string, number>>;
  readonly tokensPerSecond: number[];
  readonly cpuMsPerToken: Record<string, number[]>;
}

async function layerCountOf(model: string): Promise<number> {
  const entry = readMetadata(await readFile(model)).find(({ key }) => key.endsWith(".block_count"));
  if (entry === undefined) throw new Error(`${model} does not say how many layers it has.`);
  return entry.bytes.readUInt32LE();
}

async function startPipeline(engine: Engine, model: string, tunnelled: boolean, stack: AsyncDisposableStack): Promise<Pipeline> {
  const signal = AbortSignal.timeout(180_000);
  const layerCount = await layerCountOf(model);
  const pids: Record<string, number> = {};
  const headPlane = tunnelled ? stack.use(await startBenchProcess(PLANE_SCRIPT)) : null;
  if (headPlane !== null) pids["head's daemon"] = headPlane.pid;
  const workers: { endpoint: string; layers: number }[] = [];
  for (let index = 0; index < WORKERS; index += 1) {
    const worker: Worker = stack.use(await startWorker({ engine, threads: 1, deviceId: null, signal }));
    pids[`rpc-server ${index + 1}`] = worker.process.pid;
    const port = headPlane === null ? worker.port : await tunnelTo(worker.port, index, headPlane, pids, stack);
    const layers = Math.floor((layerCount * (index + 1)) / WORKERS) - Math.floor((layerCount * index) / WORKERS);
    workers.push({ endpoint: `127.0.0.1:${port}`, layers });
  }
  const spec = { modelPath: model, modelId: "bench", layers: { head: 0, workers }, layerCount, context: CONTEXT, slots: 1 };
  const head = stack.use(await startHead({ ...spec, engine, kv: "f16", threads: 1, acceleratorId: null, signal }));
  pids["llama-server"] = head.process.pid;
  return { head, pids, tokensPerSecond: [], cpuMsPerToken: Object.fromEntries(Object.keys(pids).map((name) => [name, []])) };
}

async function tunnelTo(
  port: number,
  index: number,
  headPlane: BenchProcess,
  pids: Record<string, number>,
  stack: AsyncDisposableStack,
): Promise<number> {
  const plane = stack.use(await startBenchProcess(PLANE_SCRIPT));
  pids[`worker's daemon ${index + 1}`] = plane.pid;
  const headAt = await headPlane.ask<{ fingerprint: string }>({ type: "start" });
  const at = await plane.ask<{ port: number; fingerprint: string }>({ type: "start" });
  const { ticket } = await plane.ask<{ ticket: Uint8Array }>({ type: "offer", peerFingerprint: headAt.fingerprint, port });
  return (await headPlane.ask<{ port: number }>({ type: "listen", ...at, ticket })).port;
}

/** One answer of exactly so many tokens; the first call warms up. */
async function generate(pipeline: Pipeline, counted: boolean): Promise<void> {
  const before = await cpuOf(pipeline);
  const response = await fetch(`http://127.0.0.1:${pipeline.head.port}/completion`, {
    method: "POST",
    headers: { authorization: `Bearer ${pipeline.head.apiKey}`, "content-type": "application/json" },
    body: JSON.stringify({ prompt: "What is", n_predict: TOKENS, ignore_eos: true, temperature: 0, cache_prompt: false }),
  });
  if (!response.ok) throw new Error(`llama-server answered ${response.status}: ${await response.text()}`);
  const { timings } = (await response.json()) as { timings: { predicted_n: number; predicted_per_second: number } };
  if (timings.predicted_n !== TOKENS) throw new Error(`${timings.predicted_n} tokens came, ${TOKENS} were asked for.`);
  if (!counted) return;
  pipeline.tokensPerSecond.push(timings.predicted_per_second);
  const after = await cpuOf(pipeline);
  for (const [name, ms] of Object.entries(after)) pipeline.cpuMsPerToken[name]?.push((ms - (before[name] ?? 0)) / TOKENS);
}

async function cpuOf({ pids }: Pipeline): Promise<Record<string, number>> {
  const entries = Object.entries(pids).map(async ([name, pid]) => [name, (await processCpuMs(pid)) ?? Number.NaN] as const);
  return Object.fromEntries(await Promise.all(entries));
}

async function measure(engine: Engine, model: string): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const bare = await startPipeline(engine, model, false, stack);
  const tunnelled = await startPipeline(engine, model, true, stack);
  for (let round = 0; round <= ROUNDS; round += 1) {
    // Who goes first takes turns as well.
    for (const pipeline of round % 2 === 0 ? [bare, tunnelled] : [tunnelled, bare]) await generate(pipeline, round > 0);
  }
  report(model, bare, tunnelled);
}

const words = (cpu: Record<string, number>): string =>
  Object.entries(cpu)
    .map(([name, ms]) => `${name} ${ms}`)
    .join(", ");

function report(model: string, bare: Pipeline, tunnelled: Pipeline): void {
  const ratios = tunnelled.tokensPerSecond.map((rate, index) => rate / (bare.tokensPerSecond[index] ?? Number.NaN));
  const cpu = (pipeline: Pipeline): Record<string, number> =>
    Object.fromEntries(Object.entries(pipeline.cpuMsPerToken).map(([name, list]) => [name, Number(median(list).toFixed(3))]));
  const result = {
    model: basename(model),
    bareTokensPerSecond: Number(median(bare.tokensPerSecond).toFixed(1)),
    tunnelTokensPerSecond: Number(median(tunnelled.tokensPerSecond).toFixed(1)),
    ratio: Number(median(ratios).toFixed(3)),
    bareCpuMsPerToken: cpu(bare),
    tunnelCpuMsPerToken: cpu(tunnelled),
  };
  if (values.json) {
    console.log(JSON.stringify(result));
    return;
  }
  console.log(`\n## ${result.model}\n`);
  console.log("| way | tokens/s | ratio | CPU ms per token |\n| --- | --- | --- | --- |");
  console.log(`| straight | ${result.bareTokensPerSecond} | 1 | ${words(result.bareCpuMsPerToken)} |`);
  console.log(`| tunnels | ${result.tunnelTokensPerSecond} | ${result.ratio} | ${words(result.tunnelCpuMsPerToken)} |`);
}

const engine = await ensureEngine();
if (!values.json) {
  console.log(`Machine: ${describeMachine()}, llama.cpp ${engine.llamaCpp}.`);
  console.log(
    `${WORKERS} workers with half of the layers each, one thread per process, ${TOKENS} tokens per turn, medians of ${ROUNDS} turns.`,
  );
}
for (const model of values.model) await measure(engine, model);
