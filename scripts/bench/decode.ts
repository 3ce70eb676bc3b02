// What the relays and the tunnels cost while decoding: the same placement straight to the rpc-servers, through our relays without
// encryption, and as it is deployed, taking turns in one run.
// Usage: node scripts/bench/decode.ts [--model FILE.gguf]… [--workers 2,4] [--rounds N] [--tokens N] [--profile] [--json]
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { ensureEngine } from "../../packages/engine/src/build/ensure-engine.ts";
import type { Engine } from "../../packages/engine/src/build/engine.ts";
import { benchModels } from "./bench-models.ts";
import { describeMachine, median } from "./machine.ts";
import { startPingPong, type PingPong } from "./ping-pong.ts";
import {
  complete,
  cpuOf,
  openBenchModel,
  startDaemons,
  startPipeline,
  WAYS,
  type Daemons,
  type Pipeline,
  type Way,
} from "./pipeline.ts";
import type { SelfTime } from "./self-times.ts";

const { values } = parseArgs({
  options: {
    model: { type: "string", multiple: true, default: [] },
    workers: { type: "string", default: "2,4" },
    rounds: { type: "string", default: "8" },
    tokens: { type: "string", default: "96" },
    profile: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const ROUNDS = Number(values.rounds);
const TOKENS = Number(values.tokens);
const PROFILED_TOKENS = 512;
const WARM_TRIPS = 2_500;
const WARM_BYTES = 8_192;
/** Functions told of each profiled process. */
const FUNCTIONS_TOLD = 14;

interface Turns {
  readonly pipeline: Pipeline;
  readonly msPerToken: number[];
  readonly cpuMsPerToken: Record<string, number>[];
}

async function turn({ pipeline, msPerToken, cpuMsPerToken }: Turns, counted: boolean): Promise<void> {
  const before = await cpuOf(pipeline);
  const { predicted_ms: ms } = await complete(pipeline, "What is", TOKENS);
  if (!counted) return;
  const after = Object.entries(await cpuOf(pipeline));
  msPerToken.push(ms / TOKENS);
  cpuMsPerToken.push(Object.fromEntries(after.map(([name, cpu]) => [name, (cpu - (before[name] ?? 0)) / TOKENS])));
}

async function measure(engine: Engine, path: string, workers: number): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const model = await openBenchModel(path);
  const turns = {} as Record<Way, Turns>;
  for (const way of WAYS) {
    const daemons = way === "bare" ? null : await startDaemons(workers, way === "encrypted", stack);
    if (daemons !== null) await warmUp(engine, daemons, path);
    const pipeline = await startPipeline({ engine, model, daemons, workers, localWeights: daemons !== null }, stack);
    turns[way] = { pipeline, msPerToken: [], cpuMsPerToken: [] };
  }
  for (let round = 0; round <= ROUNDS; round += 1) {
    // Who goes first takes turns as well; the first round warms up.
    for (let index = 0; index < WAYS.length; index += 1) {
      await turn(turns[WAYS[(index + round) % WAYS.length] as Way], round > 0);
    }
  }
  const hops = await measureHops(engine, turns, workers, path);
  await report(basename(path), workers, turns, hops);
  if (values.profile) await profile(turns.encrypted.pipeline);
}

/** A daemon that has been up for a while runs compiled code. */
async function warmUp(engine: Engine, daemons: Daemons, model: string): Promise<void> {
  for (const worker of daemons.workers.keys()) {
    await using ping = await startPingPong({ engine, daemons, worker, model, upBytes: WARM_BYTES, downBytes: WARM_BYTES });
    await ping.warmUp(WARM_TRIPS);
  }
}

/** Round trips of what one token and worker sends, through the same processes, at the pace of decoding: ms. */
async function measureHops(
  engine: Engine,
  turns: Record<Way, Turns>,
  workers: number,
  path: string,
): Promise<Record<Way, number>> {
  await using stack = new AsyncDisposableStack();
  const stage = (await turns.encrypted.pipeline.stages()).find(({ timing }) => timing !== null);
  const [upBytes, downBytes] = [stage?.timing?.bytesUp ?? 0, stage?.timing?.bytesDown ?? 0];
  const paceMs = median(turns.bare.msPerToken) / workers;
  const pings: [Way, PingPong][] = [];
  for (const way of WAYS) {
    const { daemons } = turns[way].pipeline;
    pings.push([way, stack.use(await startPingPong({ engine, daemons, model: path, upBytes, downBytes }))]);
  }
  const times: Record<Way, number[]> = { bare: [], plain: [], encrypted: [] };
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [way, ping] of pings) times[way].push(await ping.tripMs(paceMs));
  }
  return { bare: median(times.bare), plain: median(times.plain), encrypted: median(times.encrypted) };
}

async function report(model: string, workers: number, turns: Record<Way, Turns>, hops: Record<Way, number>): Promise<void> {
  const bareMs = median(turns.bare.msPerToken);
  for (const way of WAYS) {
    const { msPerToken, cpuMsPerToken, pipeline } = turns[way];
    const stages = await pipeline.stages();
    const wire = stages.reduce((sum, { timing }) => sum + (timing?.wireMs.p50 ?? 0), 0);
    const ratios = msPerToken.map((ms, index) => (turns.bare.msPerToken[index] ?? Number.NaN) / ms);
    const addedMs = workers * (hops[way] - hops.bare);
    const cpu = Object.keys(pipeline.pids).map(
      (name) => [name, median(cpuMsPerToken.map((of) => of[name] ?? Number.NaN))] as const,
    );
    const result = {
      ...{ model, workers, way },
      tokensPerSecond: round(1e3 / median(msPerToken), 1),
      ratio: round(median(ratios), 3),
      hopMs: round(hops[way], 3),
      ratioWithCoresToSpare: round(bareMs / (bareMs + addedMs), 3),
      wireMsPerToken: way === "bare" ? null : round(wire, 2),
      cpuMsPerToken: Object.fromEntries(cpu.map(([name, ms]) => [name, round(ms, 2)])),
    };
    if (values.json) console.log(JSON.stringify(result));
    else {
      const told = Object.entries(result.cpuMsPerToken).map(([name, ms]) => `${name} ${ms}`);
      const cells = [model, workers, way, result.tokensPerSecond, result.ratio, result.ratioWithCoresToSpare, result.hopMs];
      console.log(`| ${[...cells, result.wireMsPerToken ?? "–", told.join(", ")].join(" | ")} |`);
    }
  }
}

const round = (value: number, digits: number): number => Number(value.toFixed(digits));

async function profile(pipeline: Pipeline): Promise<void> {
  if (pipeline.daemons === null) return;
  const profiled = { "head's daemon": pipeline.daemons.head, "worker's daemon 1": pipeline.daemons.workers[0]?.process };
  for (const daemon of Object.values(profiled)) await daemon?.ask({ type: "profile" });
  await complete(pipeline, "What is", PROFILED_TOKENS);
  for (const [name, daemon] of Object.entries(profiled)) {
    const times = (await daemon?.ask<readonly SelfTime[]>({ type: "profile" })) ?? [];
    const total = times.reduce((sum, { ms }) => sum + ms, 0);
    console.log(`\n${name}: ${((total / PROFILED_TOKENS) * 1e3).toFixed(0)} µs per token\n`);
    for (const { name: what, ms } of times.slice(0, FUNCTIONS_TOLD)) {
      console.log(`  ${((ms / PROFILED_TOKENS) * 1e3).toFixed(1)} µs  ${((100 * ms) / total).toFixed(1)} %  ${what}`);
    }
  }
}

const engine = await ensureEngine();
if (!values.json) {
  console.log(`Machine: ${describeMachine()}, llama.cpp ${engine.llamaCpp}.`);
  console.log(`Equal stages, one thread per process, ${TOKENS} tokens per turn, medians of ${ROUNDS} turns.\n`);
  const titles =
    "model | workers | way | tokens/s | ratio | with cores to spare | round trip, ms | wire ms/token | CPU ms per token";
  console.log(`| ${titles} |\n|${" --- |".repeat(titles.split(" | ").length)}`);
}
await using models = new AsyncDisposableStack();
for (const model of await benchModels(values.model, models)) {
  for (const workers of values.workers.split(",").map(Number)) await measure(engine, model, workers);
}
