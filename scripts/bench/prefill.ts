// How much of a prompt's work the stages do at once, by the size of the ubatches: from the spans in which each stage was at work.
// Usage: node scripts/bench/prefill.ts [--model FILE.gguf] [--workers 2,4] [--ubatches 64,128,256,512] [--tokens N] [--share 0.2]
//        [--ways through-head,passing] [--decode TOKENS] [--rounds N] [--flags "…"] [--spans] [--json]. --share holds every rpc-server to so much of a core (Linux, root).
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ensureEngine } from "../../packages/engine/src/build/ensure-engine.ts";
import type { Engine } from "../../packages/engine/src/build/engine.ts";
import type { WorkSpan } from "../../packages/engine/src/rpc/stage-meter.ts";
import { limitCpu } from "./cpu-share.ts";
import { describeMachine, median } from "./machine.ts";
import { cutLastStage, overlapOf, type Overlap } from "./overlap.ts";
import { complete, openBenchModel, startDaemons, startPipeline, type BenchModel, type Pipeline } from "./pipeline.ts";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: fileURLToPath(new URL("../../models/demo-16l-q8_0.gguf", import.meta.url)) },
    workers: { type: "string", default: "2,4" },
    ubatches: { type: "string", default: "64,128,256,512" },
    tokens: { type: "string", default: "2048" },
    share: { type: "string", default: "0" },
    ways: { type: "string", default: "through-head,passing" },
    decode: { type: "string", default: "0" },
    rounds: { type: "string", default: "3" },
    flags: { type: "string", default: "" },
    spans: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const ROUNDS = Number(values.rounds);
const TOKENS = Number(values.tokens);
/** Tokens that are decoded besides, of another short prompt. */
const DECODED = Number(values.decode);
const SHARE = Number(values.share);
/** By way of the head's engine, as without our relays; or from stage to stage. */
const WAYS = values.ways.split(",");
const BATCH = 2048;
/** The models here were made for less context than a long prompt takes. */
const LONG_CONTEXT = ["--override-kv", "llama.context_length=int:16384"];
/** Ordinary tokens, the same ones in every run. */
const PROMPT: readonly number[] = Array.from({ length: TOKENS }, (_, index) => 20 + ((index * 7919) % 200));

interface Turn extends Overlap {
  readonly promptMs: number;
  readonly decodeMs: number;
}

async function turn(pipeline: Pipeline): Promise<Turn> {
  const known = (await pipeline.stages()).map(({ spans }) => Math.max(0, ...spans.map(({ endMs }) => endMs)));
  const { prompt_ms: promptMs, prompt_n: tokens } = await complete(pipeline, PROMPT, 1);
  if (tokens !== TOKENS) throw new Error(`${tokens} tokens were read, ${TOKENS} were sent.`);
  const stages: (readonly WorkSpan[])[] = (await pipeline.stages()).map(({ spans }, index) =>
    spans.filter(({ endMs }) => endMs > (known[index] ?? 0)),
  );
  if (values.spans) tellSpans(stages);
  const decodeMs = DECODED > 0 ? (await complete(pipeline, "What is", DECODED)).predicted_ms / DECODED : 0;
  return { promptMs, decodeMs, ...overlapOf(cutLastStage(stages)) };
}

function tellSpans(stages: readonly (readonly WorkSpan[])[]): void {
  const start = Math.min(...stages.flat().map(({ beginMs }) => beginMs));
  for (const [index, spans] of stages.entries()) {
    const told = spans.map(
      ({ beginMs, endMs, tokens }) => `${(beginMs - start).toFixed(0)}-${(endMs - start).toFixed(0)}(${tokens})`,
    );
    console.error(`stage ${index + 1}: ${told.join(" ")}`);
  }
}

async function measure(engine: Engine, model: BenchModel, workers: number, ubatches: readonly number[]): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const pipelines: { readonly ubatch: number; readonly way: string; readonly pipeline: Pipeline; readonly turns: Turn[] }[] = [];
  for (const { ubatch, way } of ubatches.flatMap((size) => WAYS.map((kind) => ({ ubatch: size, way: kind })))) {
    const daemons = await startDaemons(workers, true, stack);
    const flags = ["-b", String(BATCH), "-ub", String(ubatch), ...LONG_CONTEXT, ...values.flags.split(" ").filter(Boolean)];
    const placed = {
      engine,
      model,
      daemons,
      workers,
      localWeights: true,
      passing: way === "passing",
      context: TOKENS + 256,
      flags,
    };
    const limits = stack.use(new AsyncDisposableStack());
    const pipeline = await startPipeline(placed, stack);
    if (SHARE > 0) for (const pid of pipeline.workerPids) limits.use(await limitCpu(pid, SHARE));
    // What is only passed on is learnt from the first few tokens.
    await complete(pipeline, "1 2 3", 8);
    pipelines.push({ ubatch, way, pipeline, turns: [] });
  }
  for (let round = 0; round < ROUNDS; round += 1) {
    // Who goes first takes turns as well.
    for (let index = 0; index < pipelines.length; index += 1) {
      const next = pipelines[(index + round) % pipelines.length];
      next?.turns.push(await turn(next.pipeline));
    }
  }
  for (const { ubatch, way, turns } of pipelines) report(basename(model.path), workers, ubatch, way, turns);
}

function report(model: string, workers: number, ubatch: number, way: string, turns: readonly Turn[]): void {
  const middle = (of: (turn: Turn) => number): number => median(turns.map(of));
  const count = Math.ceil(TOKENS / ubatch);
  const result = {
    ...{ model, workers, way, ubatch, ubatches: count },
    promptTokensPerSecond: round(TOKENS / (middle(({ promptMs }) => promptMs) / 1e3), 1),
    workMs: round(
      middle(({ workMs }) => workMs),
      0,
    ),
    unionMs: round(
      middle(({ unionMs }) => unionMs),
      0,
    ),
    atOnce: round(
      middle(({ severalMs, unionMs }) => severalMs / unionMs),
      2,
    ),
    speedup: round(
      middle(({ workMs, unionMs }) => workMs / unionMs),
      2,
    ),
    ...(DECODED > 0
      ? {
          decode: round(
            middle(({ decodeMs }) => decodeMs),
            2,
          ),
        }
      : {}),
    fullPipeline: round((workers * count) / (count + workers - 1), 2),
    blockingCopies: round((workers * count) / (count * (workers - 1) + 1), 2),
  };
  if (values.json) console.log(JSON.stringify(result));
  else console.log(`| ${Object.values(result).join(" | ")} |`);
}

const round = (value: number, digits: number): number => Number(value.toFixed(digits));

const engine = await ensureEngine();
if (!values.json) {
  console.log(`Machine: ${describeMachine()}, llama.cpp ${engine.llamaCpp}.`);
  const held = SHARE > 0 ? `every rpc-server held to ${SHARE} of a core` : "the rpc-servers share the cores";
  console.log(`${TOKENS} tokens, -b ${BATCH}, ${held}, one thread per process, medians of ${ROUNDS} turns.\n`);
  const titles =
    "model | workers | way | ubatch | ubatches | prompt tokens/s | work, ms | union, ms | ≥ 2 at work | work ÷ union | " +
    (DECODED > 0 ? "decode, ms/token | " : "") +
    "full pipeline | blocking copies";
  console.log(`| ${titles} |\n|${" --- |".repeat(titles.split(" | ").length)}`);
}
const model = await openBenchModel(values.model);
for (const workers of values.workers.split(",").map(Number)) {
  await measure(engine, model, workers, values.ubatches.split(",").map(Number));
}
