import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readModelFile } from "../../packages/catalog/src/read-model.ts";
import type { Engine } from "../../packages/engine/src/build/engine.ts";
import { headArguments } from "../../packages/engine/src/head/head-arguments.ts";
import { LISTENING, LOAD_DEADLINE } from "../../packages/engine/src/head/head-start.ts";
import { superviseProcess } from "../../packages/engine/src/process/supervise.ts";
import { startWorker } from "../../packages/engine/src/worker/start-worker.ts";
import { startBenchProcess, type BenchProcess } from "./bench-process.ts";
import { processCpuMs } from "./process-cpu.ts";
import type { BenchStage, StageFigures, StageMessage } from "./stage-process.ts";

/** How the head's engine reaches its workers': by itself, through our relays without encryption, or as it is deployed. */
export type Way = "bare" | "plain" | "encrypted";
export const WAYS: readonly Way[] = ["bare", "plain", "encrypted"];

const LOAD_MS_MAX = 300_000;
const STAGE_SCRIPT = new URL("stage-process.ts", import.meta.url);

/** A model, and how many layers there are to share out. */
export interface BenchModel {
  readonly path: string;
  readonly layerCount: number;
}

export async function openBenchModel(path: string): Promise<BenchModel> {
  const { profile } = await readModelFile(path, { signal: AbortSignal.timeout(60_000) });
  return { path, layerCount: profile.layers.length };
}

/** The relays of a head's daemon and of its workers', every one a process of its own. */
export interface Daemons {
  readonly head: BenchProcess;
  readonly headFingerprint: string;
  readonly workers: readonly { readonly process: BenchProcess; readonly port: number; readonly fingerprint: string }[];
  /** Where they keep the digests of weights. */
  readonly cacheDir: string;
}

export async function startDaemons(count: number, encrypted: boolean, stack: AsyncDisposableStack): Promise<Daemons> {
  const cacheDir = await mkdtemp(join(tmpdir(), "clusterd-bench-"));
  stack.defer(() => rm(cacheDir, { recursive: true, force: true }));
  const start = async (): Promise<Daemons["workers"][number]> => {
    const process = stack.use(await startBenchProcess(STAGE_SCRIPT));
    return { process, ...(await process.ask<{ port: number; fingerprint: string }>({ type: "start", encrypted })) };
  };
  const head = await start();
  const workers: Daemons["workers"][number][] = [];
  for (let index = 0; index < count; index += 1) workers.push(await start());
  return { head: head.process, headFingerprint: head.fingerprint, workers, cacheDir };
}

export interface PipelineOptions {
  readonly engine: Engine;
  readonly model: BenchModel;
  /** Null: straight to the rpc-servers. */
  readonly daemons: Daemons | null;
  readonly workers: number;
  /** Whether the workers' daemons put in the weights; else the head sends them. */
  readonly localWeights: boolean;
  /** Whether results go from stage to stage without the head's engine; they do unless said otherwise. */
  readonly passing?: boolean;
  readonly slots?: number;
  /** Tokens per slot. */
  readonly context?: number;
  /** For llama-server, besides what a head is deployed with. */
  readonly flags?: readonly string[];
}

/** A head over its workers, loaded. */
export interface Pipeline {
  readonly port: number;
  readonly pids: Readonly<Record<string, number>>;
  readonly workerPids: readonly number[];
  readonly daemons: Daemons | null;
  /** From starting the head's engine to its word that it listens. */
  readonly loadMs: number;
  /** The stages as the head's daemon saw them; none without daemons. */
  stages(): Promise<readonly StageFigures[]>;
}

/** Starts rpc-servers with equal shares of the layers and a head over them. One thread each. */
export async function startPipeline(options: PipelineOptions, stack: AsyncDisposableStack): Promise<Pipeline> {
  const { engine, model, daemons, slots = 1, context = 1024, localWeights } = options;
  const signal = AbortSignal.timeout(LOAD_MS_MAX);
  const pids: Record<string, number> = daemons === null ? {} : { "head's daemon": daemons.head.pid };
  const workerPids: number[] = [];
  const placed: { endpoint: string; layers: number }[] = [];
  const boundary = (index: number): number => Math.floor((model.layerCount * index) / options.workers);
  if (daemons !== null) stack.defer(() => closeAll(daemons));
  for (let index = 0; index < options.workers; index += 1) {
    const weightFiles = localWeights ? { weightFiles: [model.path] } : {};
    const worker = stack.use(await startWorker({ engine, threads: 1, deviceId: null, signal, ...weightFiles }));
    pids[`rpc-server ${index + 1}`] = worker.process.pid;
    workerPids.push(worker.process.pid);
    const [firstLayer, lastLayer] = [boundary(index), boundary(index + 1) - 1];
    const stage = { model: model.path, firstLayer, lastLayer, localWeights, slots };
    const port = daemons === null ? worker.port : await tunnelTo(worker.port, daemons, index, stage, options.passing);
    if (daemons !== null) pids[`worker's daemon ${index + 1}`] = daemons.workers[index]?.process.pid ?? 0;
    placed.push({ endpoint: `127.0.0.1:${port}`, layers: lastLayer - firstLayer + 1 });
  }
  const begunMs = performance.now();
  const head = await startHeadProcess({ ...options, slots, context, placed }, stack);
  pids["llama-server"] = head.pid;
  return {
    ...{ port: head.port, pids, workerPids, daemons, loadMs: performance.now() - begunMs },
    stages: async () => (await daemons?.head.ask<readonly StageFigures[]>({ type: "stages" } satisfies StageMessage)) ?? [],
  };
}

/** The near end of a tunnel to an rpc-server, our relays at both ends. */
export async function tunnelTo(
  port: number,
  { head, headFingerprint, workers, cacheDir }: Daemons,
  index: number,
  placed: Omit<BenchStage, "cacheDir">,
  passing = true,
): Promise<number> {
  const worker = workers[index];
  if (worker === undefined) throw new Error(`There is no worker ${index + 1}.`);
  const stage: BenchStage = { ...placed, cacheDir };
  const offered: StageMessage = { type: "offer", peerFingerprint: headFingerprint, port, stage };
  const ticket = await worker.process.ask<Uint8Array>(offered);
  const { fingerprint } = worker;
  return head.ask<number>({ type: "listen", port: worker.port, fingerprint, ticket, stage, passing } satisfies StageMessage);
}

async function closeAll({ head, workers }: Daemons): Promise<void> {
  for (const daemon of [head, ...workers.map(({ process }) => process)])
    await daemon.ask({ type: "close" } satisfies StageMessage);
}

async function startHeadProcess(
  options: PipelineOptions & {
    readonly slots: number;
    readonly context: number;
    readonly placed: readonly { readonly endpoint: string; readonly layers: number }[];
  },
  stack: AsyncDisposableStack,
): Promise<{ readonly port: number; readonly pid: number }> {
  const { engine, model, placed, slots, context, localWeights, flags = [] } = options;
  const layers = { head: model.layerCount - placed.reduce((sum, worker) => sum + worker.layers, 0), workers: placed };
  const spec = { modelPath: model.path, modelId: "bench", layers, layerCount: model.layerCount, context, slots };
  let port = 0;
  const child = stack.use(
    superviseProcess({
      name: "llama-server",
      command: engine.llamaServer,
      args: [...headArguments({ ...spec, kv: "f16", threads: 1, acceleratorId: null, mapped: localWeights }), ...flags],
      env: { GGML_NO_BACKTRACE: "1", ...(localWeights ? { GGML_RPC_LOCAL_WEIGHTS: "1" } : {}) },
      start: LOAD_DEADLINE,
      isReady(line) {
        port = Number(LISTENING.exec(line)?.[1] ?? 0);
        return port > 0;
      },
    }),
  );
  await child.whenReady(AbortSignal.timeout(LOAD_MS_MAX));
  return { port, pid: child.pid };
}

/** What llama-server says of one answer. */
export interface Timings {
  readonly prompt_n: number;
  readonly prompt_ms: number;
  readonly predicted_n: number;
  readonly predicted_ms: number;
}

/** One answer of exactly so many tokens, nothing of it cached. */
export async function complete({ port }: Pipeline, prompt: string | readonly number[], tokens: number): Promise<Timings> {
  const response = await fetch(`http://127.0.0.1:${port}/completion`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt, n_predict: tokens, ignore_eos: true, temperature: 0, cache_prompt: false }),
  });
  if (!response.ok) throw new Error(`llama-server answered ${response.status}: ${await response.text()}`);
  const { timings } = (await response.json()) as { timings: Timings };
  if (tokens > 0 && timings.predicted_n !== tokens)
    throw new Error(`${timings.predicted_n} tokens came, ${tokens} were asked for.`);
  return timings;
}

/** Processor time of each of a pipeline's processes so far, ms. */
export async function cpuOf({ pids }: Pick<Pipeline, "pids">): Promise<Readonly<Record<string, number>>> {
  const entries = Object.entries(pids).map(async ([name, pid]) => [name, (await processCpuMs(pid)) ?? Number.NaN] as const);
  return Object.fromEntries(await Promise.all(entries));
}
