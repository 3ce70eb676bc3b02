// Looks for hangs of a head over three and more rpc-servers, bare and through our relays, in every way that reports of such hangs name.
// Usage: node scripts/soak-endpoints.ts [--seconds 20] [--endpoints 3,4,5] [--ways bare,encrypted] [--engine DIR] [--case TEXT]
// `--engine`: a folder with another build of the engine, e.g. one without our patch. Small socket buffers: run it in a network namespace of
// its own (unshare -n) with net.ipv4.tcp_wmem and tcp_rmem set to "4096 4096 4096".
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { ensureEngine, startWorker, type Engine } from "../packages/engine/src/index.ts";
import { describeMachine } from "./bench/machine.ts";
import { complete, openBenchModel, startDaemons, startPipeline, WAYS, type Pipeline, type Way } from "./bench/pipeline.ts";
import { ENDPOINT_CASES, flagsOf, type EndpointCase } from "./soak/endpoint-cases.ts";
import { pick, seededRandom } from "./soak/random.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "20" },
    endpoints: { type: "string", default: "3,4,5" },
    ways: { type: "string", default: "bare,encrypted" },
    engine: { type: "string" },
    case: { type: "string", default: "" },
  },
});
/** An answer that takes longer, of which the longest needs a second of a core, hangs. */
const HANG_MS = 120_000;
const PROMPTS: readonly number[] = [4, 40, 200, 700];
const ANSWERS: readonly number[] = [1, 8, 64];
/** A token that the demo model knows. */
const TOKEN = 100;
const BUSY_MS = 3_000;
/** Takes `-ot` and its value out of the arguments. */
const WITHOUT_OVERRIDES = [
  "left=$#",
  "while [ $left -gt 0 ]; do",
  '  if [ "$1" = -ot ]; then shift 2; left=$((left - 2)); else set -- "$@" "$1"; shift; left=$((left - 1)); fi',
  "done",
].join("\n");
const HELLO = 14;
const HELLO_BYTES = 33;
const random = seededRandom(28487);
const say = (line: string): void => void process.stderr.write(`${line}\n`);

interface Ran {
  readonly answers: number;
  readonly tokens: number;
  readonly longestMs: number;
  /** What went wrong; null: nothing. */
  readonly wrong: string | null;
}

async function askFor(pipeline: Pipeline, clients: number, untilMs: number): Promise<Ran> {
  let [answers, tokens, longestMs, wrong]: [number, number, number, string | null] = [0, 0, 0, null];
  const client = async (): Promise<void> => {
    while (performance.now() < untilMs && wrong === null) {
      const [prompt, count] = [pick(random, PROMPTS), pick(random, ANSWERS)];
      const begunMs = performance.now();
      const { promise: late, reject } = Promise.withResolvers<never>();
      const timer = setTimeout(() => reject(new Error(`no answer within ${HANG_MS / 1000} s`)), HANG_MS);
      try {
        const asked = Array.from({ length: prompt }, (_, index) => TOKEN + (index % 50));
        await Promise.race([complete(pipeline, asked, count), late]);
      } catch (error) {
        wrong = `${prompt} + ${count} tokens: ${String(error)}`;
        return;
      } finally {
        clearTimeout(timer);
      }
      answers += 1;
      tokens += prompt + count;
      longestMs = Math.max(longestMs, performance.now() - begunMs);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return { answers, tokens, longestMs, wrong };
}

/** The engine behind scripts that change what a case changes. */
async function changed(engine: Engine, { env = {}, isPlain, workerThreads }: EndpointCase, folder: string): Promise<Engine> {
  const write = async (name: string, text: string): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    return path;
  };
  const words = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const llamaServer = `exec env ${words.join(" ")} "${engine.llamaServer}" "$@"`;
  const threads = workerThreads === undefined ? "" : ` -t ${workerThreads}`;
  return {
    ...engine,
    llamaServer: await write("llama-server", isPlain === true ? `${WITHOUT_OVERRIDES}\n${llamaServer}` : llamaServer),
    rpcServer: await write("rpc-server", `exec "${engine.rpcServer}" "$@"${threads}`),
  };
}

/** A client's HELLO, and whether it is answered within a moment. */
async function greet(port: number): Promise<Disposable & { readonly answered: Promise<boolean> }> {
  const socket = connect(port, "127.0.0.1");
  const hello = Buffer.alloc(HELLO_BYTES);
  hello.writeUInt8(HELLO);
  hello.writeBigUInt64LE(BigInt(HELLO_BYTES - 9), 1);
  socket.write(hello);
  await once(socket, "connect");
  const answered = Promise.race([once(socket, "data").then(() => true), pause(BUSY_MS, false)]);
  return { answered, [Symbol.dispose]: () => void socket.destroy() };
}

/** What becomes of a second client of an rpc-server that serves a first. */
async function tryBusy(engine: Engine): Promise<string> {
  await using worker = await startWorker({ engine, threads: 1, deviceId: null, signal: AbortSignal.timeout(60_000) });
  const first = await greet(worker.port);
  const served = await first.answered;
  const second = await greet(worker.port);
  const meanwhile = await second.answered;
  first[Symbol.dispose]();
  second[Symbol.dispose]();
  using third = await greet(worker.port);
  const afterwards = await third.answered;
  const told = (answered: boolean): string => (answered ? "answered" : "not answered");
  return `the first client was ${told(served)}, a second one meanwhile ${told(meanwhile)}, a third after both ${told(afterwards)}`;
}

async function main(): Promise<number> {
  const own = await ensureEngine({ signal: AbortSignal.timeout(600_000) });
  const rename = (path: string): string => path.replace(own.dir, resolve(values.engine ?? own.dir));
  const given: Engine = { ...own, llamaServer: rename(own.llamaServer), rpcServer: rename(own.rpcServer) };
  const ownPatch = values.engine === undefined;
  const model = await openBenchModel(resolve(import.meta.dirname, "../models/demo-16l-q8_0.gguf"));
  const folder = await mkdtemp(join(tmpdir(), "clusterd-endpoints-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  console.log(`Machine: ${describeMachine()}.${ownPatch ? "" : " The engine without our patch."}\n`);
  console.log(
    "| case | way | endpoints | answers | tokens | longest answer, s | wrong |\n| --- | --- | --- | --- | --- | --- | --- |",
  );
  let wrong = 0;
  for (const each of ENDPOINT_CASES.filter(({ name }) => name.includes(values.case))) {
    for (const way of values.ways.split(",").filter((name): name is Way => WAYS.some((known) => known === name))) {
      for (const count of values.endpoints.split(",").map(Number)) {
        const ran = await run(await changed(given, each, folder), each, way, count, model, ownPatch).catch(
          (error: unknown): Ran => ({ answers: 0, tokens: 0, longestMs: 0, wrong: String(error) }),
        );
        if (ran.wrong !== null) wrong += 1;
        const figures = [ran.answers, ran.tokens, (ran.longestMs / 1000).toFixed(1), ran.wrong ?? "no"];
        console.log(`| ${[each.name, way, count, ...figures].join(" | ")} |`);
      }
    }
  }
  if (values.case === "") console.log(`\nA busy rpc-server: ${await tryBusy(given)}.`);
  return wrong === 0 ? 0 : 1;
}

async function run(
  engine: Engine,
  each: EndpointCase,
  way: Way,
  count: number,
  model: Awaited<ReturnType<typeof openBenchModel>>,
  ownPatch: boolean,
): Promise<Ran> {
  await using stack = new AsyncDisposableStack();
  const daemons = way === "bare" ? null : await startDaemons(count, way === "encrypted", stack);
  const localWeights = each.sendsWeights !== true && ownPatch;
  const { slots = 1 } = each;
  const flags = flagsOf(each, count);
  const pipeline = await startPipeline({ engine, model, daemons, workers: count, localWeights, slots, flags }, stack);
  const ran = await askFor(pipeline, slots, performance.now() + Number(values.seconds) * 1000);
  say(`${each.name}, ${way}, ${count}: ${ran.answers} answers, ${ran.wrong ?? "nothing wrong"}`);
  return ran;
}

process.exitCode = await main();
