// Streams at once through the tunnels ÷ straight to the rpc-servers, taking turns in one run.
// Usage: node scripts/bench/slots.ts [--model FILE.gguf]… [--streams 8] [--workers 2] [--rounds N] [--tokens N] [--json]
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { ensureEngine } from "../../packages/engine/src/build/ensure-engine.ts";
import type { Engine } from "../../packages/engine/src/build/engine.ts";
import { benchModels } from "./bench-models.ts";
import { describeMachine, median } from "./machine.ts";
import { complete, cpuOf, openBenchModel, startDaemons, startPipeline, WAYS, type Pipeline, type Way } from "./pipeline.ts";

const { values } = parseArgs({
  options: {
    model: { type: "string", multiple: true, default: [] },
    streams: { type: "string", default: "8" },
    workers: { type: "string", default: "2" },
    rounds: { type: "string", default: "6" },
    tokens: { type: "string", default: "48" },
    json: { type: "boolean", default: false },
  },
});
const ROUNDS = Number(values.rounds);
const TOKENS = Number(values.tokens);
const STREAMS = Number(values.streams);
const WORKERS = Number(values.workers);
const CONTEXT = 256;

interface Turn {
  readonly tokensPerSecond: number;
  /** Of all the pipeline's daemons together. */
  readonly daemonMsPerToken: number;
}

/** All streams begin together and give the same number of tokens: from the first request to the last answer. */
async function turn(pipeline: Pipeline): Promise<Turn> {
  const before = await cpuOf(pipeline);
  const begunMs = performance.now();
  await Promise.all(Array.from({ length: STREAMS }, (_, index) => complete(pipeline, `Tell me of the number ${index}`, TOKENS)));
  const tookMs = performance.now() - begunMs;
  const after = await cpuOf(pipeline);
  const daemons = Object.keys(after).filter((name) => name.includes("daemon"));
  const spent = daemons.reduce((sum, name) => sum + (after[name] ?? 0) - (before[name] ?? 0), 0);
  return { tokensPerSecond: (STREAMS * TOKENS) / (tookMs / 1e3), daemonMsPerToken: spent / (STREAMS * TOKENS) };
}

async function measure(engine: Engine, path: string): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const model = await openBenchModel(path);
  const pipelines = new Map<Way, { readonly pipeline: Pipeline; readonly turns: Turn[] }>();
  for (const way of WAYS) {
    const daemons = way === "bare" ? null : await startDaemons(WORKERS, way === "encrypted", stack);
    const placed = { engine, model, daemons, workers: WORKERS, localWeights: daemons !== null, slots: STREAMS, context: CONTEXT };
    pipelines.set(way, { pipeline: await startPipeline(placed, stack), turns: [] });
  }
  for (let round = 0; round <= ROUNDS; round += 1) {
    // Who goes first takes turns as well; the first round warms up.
    for (let index = 0; index < WAYS.length; index += 1) {
      const taken = pipelines.get(WAYS[(index + round) % WAYS.length] as Way);
      if (taken === undefined) continue;
      const result = await turn(taken.pipeline);
      if (round > 0) taken.turns.push(result);
    }
  }
  const bare = pipelines.get("bare")?.turns ?? [];
  for (const [way, { turns }] of pipelines) {
    const ratios = turns.map(({ tokensPerSecond }, index) => tokensPerSecond / (bare[index]?.tokensPerSecond ?? Number.NaN));
    const result = {
      ...{ model: basename(path), streams: STREAMS, workers: WORKERS, way },
      tokensPerSecond: Number(median(turns.map(({ tokensPerSecond }) => tokensPerSecond)).toFixed(1)),
      ratio: Number(median(ratios).toFixed(3)),
      daemonCpuMsPerToken: Number(median(turns.map(({ daemonMsPerToken }) => daemonMsPerToken)).toFixed(3)),
    };
    console.log(values.json ? JSON.stringify(result) : `| ${Object.values(result).join(" | ")} |`);
  }
}

const engine = await ensureEngine();
if (!values.json) {
  console.log(`Machine: ${describeMachine()}, llama.cpp ${engine.llamaCpp}.`);
  console.log(`Equal stages, one thread per process, ${TOKENS} tokens per stream, medians of ${ROUNDS} turns.\n`);
  const titles = "model | streams | workers | way | tokens/s, all | ratio | daemons' CPU ms per token";
  console.log(`| ${titles} |\n|${" --- |".repeat(titles.split(" | ").length)}`);
}
await using models = new AsyncDisposableStack();
for (const model of await benchModels(values.model, models)) await measure(engine, model);
