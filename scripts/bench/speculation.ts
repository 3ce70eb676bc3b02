// What speculation gives over a slow link: tokens per second with it ÷ without it, through a TCP delay proxy between llama-server and
// its rpc-servers. Both are asked in turns, of one pipeline: the request itself says whether to speculate.
// Usage: node scripts/bench/speculation.ts [--model FILE.gguf] [--rtt MS] [--rounds N] [--tokens N] [--workers N] [--variants PATTERN] [--json]
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ensureEngine } from "../../packages/engine/src/build/ensure-engine.ts";
import type { Engine } from "../../packages/engine/src/build/engine.ts";
import { headArguments } from "../../packages/engine/src/head/head-arguments.ts";
import { LISTENING, LOAD_DEADLINE } from "../../packages/engine/src/head/head-start.ts";
import { speculationArguments, type HeadSpeculation } from "../../packages/engine/src/head/speculation-arguments.ts";
import { superviseProcess } from "../../packages/engine/src/process/supervise.ts";
import { startWorker } from "../../packages/engine/src/worker/start-worker.ts";
import { startDelayProxy, type DelayProxy } from "./delay-proxy.ts";
import { readMetadata } from "../make-model/gguf-metadata.ts";
import { describeMachine, median } from "./machine.ts";
import { SPECULATION_TEXTS } from "./speculation-texts.ts";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: fileURLToPath(new URL("../../models/demo-16l-q8_0.gguf", import.meta.url)) },
    rtt: { type: "string", default: "20" },
    rounds: { type: "string", default: "5" },
    tokens: { type: "string", default: "96" },
    workers: { type: "string", default: "1" },
    variants: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const ROUNDS = Number(values.rounds);
const TOKENS = Number(values.tokens);
const CONTEXT = 1024;
const LOAD_MS_MAX = 180_000;

interface Variant {
  readonly name: string;
  readonly flags: readonly string[];
  /** Whether layers for later tokens are on the head's machine, with a worker of their own. */
  readonly nextTokensHere?: boolean;
}

const own = (name: string, speculation: HeadSpeculation): Variant => ({ name, flags: speculationArguments(speculation, "f16") });
const simple = (match: number, draft: number): Variant => ({
  name: `ngram-simple ${match}/${draft}`,
  flags: ["--spec-type", "ngram-simple", "--spec-ngram-simple-size-n", `${match}`, "--spec-ngram-simple-size-m", `${draft}`],
});
const map = (type: "map-k" | "map-k4v", match: number, draft: number): Variant => ({
  name: `ngram-${type} ${match}/${draft}`,
  flags: ["--spec-type", `ngram-${type}`, `--spec-ngram-${type}-size-n`, `${match}`, `--spec-ngram-${type}-size-m`, `${draft}`],
});
const mod = (match: number, least: number, most: number): Variant => ({
  name: `ngram-mod ${match}/${least}-${most}`,
  flags: [
    ...["--spec-type", "ngram-mod", "--spec-ngram-mod-n-match", `${match}`],
    ...["--spec-ngram-mod-n-min", `${least}`, "--spec-ngram-mod-n-max", `${most}`],
  ],
});

/** As clusterd deploys them. */
const DEPLOYED: readonly Variant[] = [
  own("ngram (as deployed)", { type: "ngram" }),
  own("draft (the model itself)", { type: "draft", modelPath: values.model }),
];
/** Of models with layers for later tokens. */
const WITH_NEXT_TOKENS: readonly Variant[] = [
  { ...own("mtp (as deployed)", { type: "mtp" }), nextTokensHere: true },
  own("mtp (layers on the last stage)", { type: "mtp" }),
];
const VARIANTS: readonly Variant[] = [
  ...[simple(12, 48), simple(8, 24), simple(6, 16), simple(4, 8), simple(3, 16)],
  ...[map("map-k", 12, 48), map("map-k", 6, 16), map("map-k4v", 6, 16)],
  ...[mod(24, 48, 64), mod(16, 8, 32), mod(8, 4, 24), mod(6, 2, 16)],
  ...[simple(5, 12), simple(6, 24)],
  { name: "ngram-cache", flags: ["--spec-type", "ngram-cache"] },
];

/** Its layers, and those behind them for later tokens. */
async function countLayers(path: string): Promise<{ readonly layerCount: number; readonly nextTokenLayers: number }> {
  const metadata = readMetadata(await readFile(path));
  const numberOf = (ending: string): number | undefined => metadata.find(({ key }) => key.endsWith(ending))?.bytes.readUInt32LE();
  const all = numberOf(".block_count");
  if (all === undefined) throw new Error(`${path} does not say how many layers it has.`);
  const nextTokenLayers = numberOf(".nextn_predict_layers") ?? 0;
  return { layerCount: all - nextTokenLayers, nextTokenLayers };
}

const MODEL = await countLayers(values.model);

interface Pipeline {
  readonly port: number;
  readonly wires: readonly DelayProxy[];
}

async function startPipeline(engine: Engine, variant: Variant, stack: AsyncDisposableStack): Promise<Pipeline> {
  const signal = AbortSignal.timeout(LOAD_MS_MAX);
  const { layerCount, nextTokenLayers } = MODEL;
  const count = Number(values.workers);
  const wires: DelayProxy[] = [];
  const workers: { endpoint: string; layers: number }[] = [];
  for (let index = 0; index < count; index += 1) {
    const worker = stack.use(await startWorker({ engine, threads: 1, deviceId: null, signal }));
    const wire = stack.use(await startDelayProxy(worker.port, Number(values.rtt) / 2));
    wires.push(wire);
    const layers = Math.floor((layerCount * (index + 1)) / count) - Math.floor((layerCount * index) / count);
    workers.push({ endpoint: `127.0.0.1:${wire.port}`, layers });
  }
  const nextTokens =
    variant.nextTokensHere === true
      ? {
          nextTokens: {
            endpoint: `127.0.0.1:${stack.use(await startWorker({ engine, threads: 1, deviceId: null, signal })).port}`,
          },
        }
      : {};
  const spec = {
    modelPath: values.model,
    modelId: "bench",
    layers: { head: 0, workers, ...nextTokens },
    layerCount,
    nextTokenLayers,
    context: CONTEXT,
    slots: 1,
  };
  let port = 0;
  const head = stack.use(
    superviseProcess({
      name: "llama-server",
      command: engine.llamaServer,
      args: [...headArguments({ ...spec, kv: "f16", threads: 1, acceleratorId: null }), ...variant.flags],
      env: { GGML_NO_BACKTRACE: "1" },
      start: LOAD_DEADLINE,
      isReady(line) {
        port = Number(LISTENING.exec(line)?.[1] ?? 0);
        return port > 0;
      },
    }),
  );
  await head.whenReady(signal);
  return { port, wires };
}

interface Turn {
  readonly msPerToken: number;
  readonly roundTripsPerToken: number;
  readonly drafted: number;
  readonly accepted: number;
  readonly text: string;
}

async function turn({ port, wires }: Pipeline, prompt: string, speculate: boolean): Promise<Turn> {
  const trips = (): number => Math.max(...wires.map((wire) => wire.roundTrips));
  // The prompt first, so that what is counted is decoding.
  const ask = async (tokens: number): Promise<AskedAnswer> => {
    const response = await fetch(`http://127.0.0.1:${port}/completion`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        ...{ prompt, n_predict: tokens, ignore_eos: true, temperature: 0, cache_prompt: true, id_slot: 0 },
        ...(speculate ? {} : { "speculative.n_max": 0 }),
      }),
    });
    if (!response.ok) throw new Error(`llama-server answered ${response.status}: ${await response.text()}`);
    return (await response.json()) as AskedAnswer;
  };
  await ask(0);
  const before = trips();
  const { timings, content } = await ask(TOKENS);
  if (timings.predicted_n !== TOKENS) throw new Error(`${timings.predicted_n} tokens came, ${TOKENS} were asked for.`);
  return {
    msPerToken: timings.predicted_ms / TOKENS,
    roundTripsPerToken: (trips() - before) / TOKENS,
    drafted: timings.draft_n ?? 0,
    accepted: timings.draft_n_accepted ?? 0,
    text: content,
  };
}

interface AskedAnswer {
  readonly content: string;
  readonly timings: {
    readonly predicted_n: number;
    readonly predicted_ms: number;
    readonly draft_n?: number;
    readonly draft_n_accepted?: number;
  };
}

async function measure(engine: Engine, variant: Variant): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const pipeline = await startPipeline(engine, variant, stack);
  for (const { name, prompt } of SPECULATION_TEXTS) {
    const plain: Turn[] = [];
    const speculative: Turn[] = [];
    for (let round = 0; round <= ROUNDS; round += 1) {
      // Who goes first takes turns as well; the first round warms up.
      for (const speculate of round % 2 === 0 ? [false, true] : [true, false]) {
        const taken = await turn(pipeline, prompt(round), speculate);
        if (round > 0) (speculate ? speculative : plain).push(taken);
      }
    }
    report(variant, name, plain, speculative);
  }
}

function report(variant: Variant, text: string, plain: readonly Turn[], speculative: readonly Turn[]): void {
  const ratios = plain.map((turned, index) => turned.msPerToken / (speculative[index]?.msPerToken ?? Number.NaN));
  const sum = (of: (turned: Turn) => number): number => speculative.reduce((total, turned) => total + of(turned), 0);
  const drafted = sum((turned) => turned.drafted);
  const result = {
    variant: variant.name,
    text,
    plainMsPerToken: Number(median(plain.map((turned) => turned.msPerToken)).toFixed(1)),
    speculativeMsPerToken: Number(median(speculative.map((turned) => turned.msPerToken)).toFixed(1)),
    ratio: Number(median(ratios).toFixed(2)),
    acceptance: drafted === 0 ? null : Number((sum((turned) => turned.accepted) / drafted).toFixed(2)),
    roundTripsPerToken: Number(median(speculative.map((turned) => turned.roundTripsPerToken)).toFixed(2)),
    plainRoundTripsPerToken: Number(median(plain.map((turned) => turned.roundTripsPerToken)).toFixed(2)),
    sameText: plain.every((turned, index) => turned.text === speculative[index]?.text),
  };
  console.log(
    values.json
      ? JSON.stringify(result)
      : `| ${[result.variant, text, result.plainMsPerToken, result.speculativeMsPerToken, result.ratio, result.acceptance ?? "–", result.plainRoundTripsPerToken, result.roundTripsPerToken, result.sameText ? "yes" : "no"].join(" | ")} |`,
  );
}

const engine = await ensureEngine();
if (!values.json) {
  console.log(`Machine: ${describeMachine()}, llama.cpp ${engine.llamaCpp}.`);
  console.log(
    `${basename(values.model)}, ${values.workers} worker(s) with all layers behind a round trip of ${values.rtt} ms, one thread per process, ${TOKENS} tokens per turn, medians of ${ROUNDS} turns each.\n`,
  );
  const titles =
    "speculation | text | plain ms/token | speculative ms/token | ratio | acceptance | round trips/token, plain | speculative | same text";
  console.log(`| ${titles} |\n|${" --- |".repeat(titles.split(" | ").length)}`);
}
const { variants: pattern } = values;
const deployed = MODEL.nextTokenLayers > 0 ? [...WITH_NEXT_TOKENS, ...DEPLOYED.slice(0, 1)] : DEPLOYED;
const measured = pattern === undefined ? deployed : VARIANTS.filter(({ name }) => new RegExp(pattern).test(name));
for (const variant of measured) await measure(engine, variant);
