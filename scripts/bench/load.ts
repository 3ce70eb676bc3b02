// How long a model takes to load over two workers that have its weights themselves ÷ one llama-server alone with the same file, and
// with the weights sent through the tunnels. The ways take turns in one run, the file in the page cache, digests known.
// Usage: node scripts/bench/load.ts [--model FILE.gguf] [--workers 2] [--rounds N] [--json]
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { ensureEngine } from "../../packages/engine/src/build/ensure-engine.ts";
import type { Engine } from "../../packages/engine/src/build/engine.ts";
import { describeMachine, median } from "./machine.ts";
import { cpuOf, openBenchModel, startDaemons, startPipeline, type BenchModel, type Daemons } from "./pipeline.ts";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: fileURLToPath(new URL("../../models/demo-16l-q8_0.gguf", import.meta.url)) },
    workers: { type: "string", default: "2" },
    rounds: { type: "string", default: "5" },
    json: { type: "boolean", default: false },
  },
});
const ROUNDS = Number(values.rounds);
const WORKERS = Number(values.workers);

type LoadWay = "alone" | "own weights" | "own weights, plain" | "sent" | "sent, bare";
const LOAD_WAYS: readonly LoadWay[] = ["alone", "own weights", "own weights, plain", "sent", "sent, bare"];

interface Load {
  /** From starting the head's engine to its word that it listens. */
  readonly headMs: number;
  /** The same and what comes before: rpc-servers, digests, tunnels. */
  readonly wholeMs: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly cpuMs: number;
}

async function load(engine: Engine, model: BenchModel, daemons: Daemons | null, way: LoadWay): Promise<Load> {
  await using stack = new AsyncDisposableStack();
  const begunMs = performance.now();
  const localWeights = way.startsWith("own");
  const before = daemons === null ? {} : await cpuOf({ pids: daemonPids(daemons) });
  const workers = way === "alone" ? 0 : WORKERS;
  const pipeline = await startPipeline({ engine, model, daemons, workers, localWeights }, stack);
  const wholeMs = performance.now() - begunMs;
  const after = await cpuOf(pipeline);
  const stages = await pipeline.stages();
  for (const { load: books } of stages) {
    if (localWeights && books.sentBytes > 0) throw new Error(`${books.sentBytes} bytes of weights were sent.`);
  }
  return {
    headMs: pipeline.loadMs,
    wholeMs,
    sentBytes: stages.reduce((sum, { traffic }) => sum + traffic.sent, 0),
    receivedBytes: stages.reduce((sum, { traffic }) => sum + traffic.received, 0),
    cpuMs: Object.entries(after).reduce((sum, [name, ms]) => sum + ms - (before[name] ?? 0), 0),
  };
}

function daemonPids({ head, workers }: Daemons): Record<string, number> {
  const named = workers.map(({ process }, index) => [`worker's daemon ${index + 1}`, process.pid] as const);
  return { "head's daemon": head.pid, ...Object.fromEntries(named) };
}

async function measure(engine: Engine, path: string): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const model = await openBenchModel(path);
  const encrypted = await startDaemons(WORKERS, true, stack);
  const plain = await startDaemons(WORKERS, false, stack);
  const loads = new Map<LoadWay, Load[]>(LOAD_WAYS.map((way) => [way, []]));
  for await (const chunk of createReadStream(path)) void chunk;
  // The first round fills the caches of profiles and digests.
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (let index = 0; index < LOAD_WAYS.length; index += 1) {
      const way = LOAD_WAYS[(index + round) % LOAD_WAYS.length] as LoadWay;
      const daemons = way === "alone" || way.endsWith("bare") ? null : way.endsWith("plain") ? plain : encrypted;
      const taken = await load(engine, model, daemons, way);
      if (round > 0) loads.get(way)?.push(taken);
    }
  }
  const alone = loads.get("alone") ?? [];
  for (const [way, list] of loads) {
    const ratios = list.map(({ headMs }, index) => headMs / (alone[index]?.headMs ?? Number.NaN));
    const wholes = list.map(({ wholeMs }, index) => wholeMs / (alone[index]?.headMs ?? Number.NaN));
    const result = {
      way,
      loadMs: Math.round(median(list.map(({ headMs }) => headMs))),
      ratio: Number(median(ratios).toFixed(2)),
      wholeMs: Math.round(median(list.map(({ wholeMs }) => wholeMs))),
      wholeRatio: Number(median(wholes).toFixed(2)),
      sentBytes: median(list.map(({ sentBytes }) => sentBytes)),
      receivedBytes: median(list.map(({ receivedBytes }) => receivedBytes)),
      cpuMs: Math.round(median(list.map(({ cpuMs }) => cpuMs))),
    };
    console.log(values.json ? JSON.stringify(result) : `| ${Object.values(result).join(" | ")} |`);
  }
}

const engine = await ensureEngine();
if (!values.json) {
  const { size } = await stat(values.model);
  console.log(`Machine: ${describeMachine()}, llama.cpp ${engine.llamaCpp}.`);
  console.log(
    `${basename(values.model)}, ${(size / 1e6).toFixed(0)} MB, ${WORKERS} workers with equal shares, medians of ${ROUNDS} loads each.\n`,
  );
  const titles =
    "way | load, ms | ÷ alone | with rpc-servers, digests, tunnels, ms | ÷ alone | bytes up | bytes down | CPU ms, all processes";
  console.log(`| ${titles} |\n|${" --- |".repeat(titles.split(" | ").length)}`);
}
await measure(engine, values.model);
