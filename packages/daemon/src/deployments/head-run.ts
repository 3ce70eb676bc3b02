import { createCopyBoard, processActivity, startHead, type startWorker, type Head, type HeadSpeculation } from "@clusterd/engine";
import type { DataPlane } from "@clusterd/mesh";
import {
  asClusterdError,
  ClusterdError,
  placeOf,
  type ControlAnswers,
  type DataPlaneAddress,
  type ErrorCode,
  type EmbeddingUse,
  type StageTiming,
  type NodeId,
  type PlanStage,
  type WorkerActivityRequest,
  type WorkerStartRequest,
  type WorkerStopRequest,
} from "@clusterd/wire";
import type { Failure, HeadedDeployment } from "../state/daemon-state.ts";
import { firstAnswer } from "./first-token.ts";
import { isHealthy, watchHead } from "./head-watch.ts";
import type { ModelWeights } from "./model-weights.ts";
import { startNextTokenWorker } from "./next-token-worker.ts";
import { openStage, tellLoad, type OpenStage } from "./open-stage.ts";

/** After the head's process ended: how long to wait for word of a worker that may have been the cause. */
const CAUSE_WAIT_MS = 800;

/** The head's own file of a model, and what its engine has to know of it. */
export interface HeadModel {
  readonly path: string;
  /** Of a model that makes embeddings. */
  readonly embedding: EmbeddingUse | null;
  /** Of one that sees images. */
  readonly projectorPath: string | null;
  /** Layers for later tokens that its header counts behind the others. */
  readonly nextTokenLayers: number;
}

/** What a run needs from the daemon. */
export interface HeadRunConfig {
  readonly deployment: HeadedDeployment;
  readonly model: HeadModel;
  /** Of the draft model, where there is one. */
  readonly draftPath: string | null;
  readonly engine: Parameters<typeof startHead>[0]["engine"] &
    Parameters<typeof startWorker>[0]["engine"] & { readonly localWeights: boolean };
  readonly threads: number;
  readonly acceleratorId: string | null;
  readonly dataPlane: DataPlane;
  readonly weights: ModelWeights;
  /** What to do where results went from stage to stage and the head wanted one itself; null: they all go by way of its engine. */
  readonly onAstray: (() => void) | null;
  log(message: string): void;
  nameOf(node: NodeId): string;
  /** Where a member takes tunnels; null when it is not connected. */
  dataPlaneOf(node: NodeId): { readonly address: string; readonly dataPlane: DataPlaneAddress } | null;
  startWorker(node: NodeId, request: WorkerStartRequest, signal: AbortSignal): Promise<ControlAnswers["worker-start"]>;
  stopWorker(node: NodeId, request: WorkerStopRequest, signal: AbortSignal): Promise<ControlAnswers["worker-stop"]>;
  workerActivity(node: NodeId, request: WorkerActivityRequest, signal: AbortSignal): Promise<ControlAnswers["worker-activity"]>;
  /** A node is not heard of any more: what is planned next must not count on it. */
  onSilent(node: NodeId): void;
  onProgress(stage: number, fraction: number): void;
  readonly signal: AbortSignal;
}

/** One epoch of a deployment, up and answering. */
export interface HeadRun extends AsyncDisposable {
  readonly port: number;
  readonly apiKey: string;
  readonly epoch: number;
  readonly tokensPerSecond: number | null;
  /** What each stage's decode steps take, of the plan's stages in order; null for the head's own, and before the first step. */
  stageTimings(): readonly (StageTiming | null)[];
  /** Settles with the cause when the pipeline breaks by itself; never when it is disposed of. */
  readonly broken: Promise<Failure>;
}

/** Word of a stage's end, told to the run by whoever hears it first. */
export interface StageLosses {
  /** Remembers the first loss; later ones are its consequences. */
  report(node: NodeId, reason: string, code?: ErrorCode): void;
  readonly first: Promise<Failure>;
}

/**
 * Brings a pipeline up: the workers on their nodes, a tunnel to each, the head's llama-server over them, and one token through all
 * of it. Whatever fails on the way takes down what was started, and the error names the stage.
 */
export async function startHeadRun(config: HeadRunConfig, losses: StageLosses): Promise<HeadRun> {
  const { deployment } = config;
  const lossAbort = new AbortController();
  const signal = AbortSignal.any([config.signal, lossAbort.signal]);
  await using stack = new AsyncDisposableStack();
  let lost: Failure | null = null;
  void losses.first.then((failure) => {
    lost = failure;
    lossAbort.abort();
  });
  const { placement } = deployment;
  const stages = placement.stages.map((stage, index) => ({ stage, index }));
  const own = stages.find(({ stage }) => stage.node === placement.head);
  const remote = stages.filter(({ stage }) => stage.node !== placement.head);
  try {
    const { onAstray } = config;
    // A model that predicts further tokens is asked for more while it still computes: what follows what cannot be told from the frames.
    const passing = remote.length > 1 && placement.speculation.type !== "mtp";
    const copies = passing && onAstray !== null ? stack.use(createCopyBoard({ onBroken: onAstray })) : null;
    // Settled, not raced: a worker that starts after another failed must be stopped as well.
    const settled = await Promise.allSettled(
      remote.map(({ stage }) => openStage({ ...config, signal }, stage, losses, copies, stack)),
    );
    const failed = settled.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    const opened = settled.map((result) => (result as PromiseFulfilledResult<OpenStage>).value);
    const head = stack.use(
      await startHead({
        engine: config.engine,
        modelPath: config.model.path,
        embedding: config.model.embedding,
        projectorPath: config.model.projectorPath,
        modelId: deployment.model,
        layers: {
          head: own === undefined ? 0 : layerCount(own.stage),
          workers: remote.map(({ stage }, index) => ({
            endpoint: `127.0.0.1:${opened[index]?.tunnel.port}`,
            layers: layerCount(stage),
          })),
          ...(await startNextTokenWorker({ ...config, signal }, remote.length, stack)),
        },
        layerCount: placement.model.layerCount,
        nextTokenLayers: config.model.nextTokenLayers,
        context: placement.context,
        slots: placement.slots,
        kv: placement.kv,
        flashAttention: placement.flashAttention,
        threads: config.threads,
        acceleratorId: config.acceleratorId,
        mapped: config.engine.localWeights && remote.length > 0,
        speculation: headSpeculation(config),
        onProgress: (fraction) => reportProgress(config, fraction),
        signal,
      }),
    );
    const measured = await firstAnswer(config.model, head, signal);
    for (const stage of opened) tellLoad(config, stage);
    const stuck = whenStuck(config, head, stack);
    const kept = stack.move();
    const ending = { wanted: false };
    const broken = Promise.race([whenBroken(config, head, losses, () => lost, ending), stuck]);
    // Asked to end, it may first wait for what will never come, and its clients with it.
    void broken.then(() => killEngine(head));
    return {
      port: head.port,
      apiKey: head.apiKey,
      epoch: deployment.epoch,
      tokensPerSecond: measured,
      stageTimings: () => placement.stages.map((stage) => timingOf(opened.find(({ node }) => node === stage.node))),
      broken,
      async [Symbol.asyncDispose]() {
        ending.wanted = true;
        await kept.disposeAsync();
      },
    };
  } catch (error) {
    if (config.signal.aborted) throw asClusterdError(error);
    throw await causeOf(error, () => lost);
  }
}

function headSpeculation({ deployment, draftPath }: HeadRunConfig): HeadSpeculation {
  const { type } = deployment.placement.speculation;
  if (type !== "draft") return { type };
  if (draftPath === null) throw new ClusterdError("failed", "The plan speculates with a draft model that it does not name.");
  return { type, modelPath: draftPath };
}

function timingOf(stage: OpenStage | undefined): StageTiming | null {
  const timing = stage?.relay.meter.timing ?? null;
  return timing === null ? null : { ...timing, encrypted: stage?.tunnel.encrypted !== false };
}

function layerCount(stage: PlanStage): number {
  return stage.lastLayer - stage.firstLayer + 1;
}

/** The engine loads stage after stage: its one figure, told as each stage's share by weight. */
function reportProgress(config: HeadRunConfig, fraction: number): void {
  const { stages } = config.deployment.placement;
  const total = stages.reduce((sum, stage) => sum + stage.weightBytes, 0);
  let before = 0;
  stages.forEach((stage, index) => {
    const share = total === 0 ? 1 : stage.weightBytes / total;
    config.onProgress(index, share === 0 ? fraction : Math.min(1, Math.max(0, (fraction - before) / share)));
    before += share;
  });
}

/** Settles once the head's engine is found to hang; looked for until the stack is disposed of. */
function whenStuck(config: HeadRunConfig, head: Head, stack: AsyncDisposableStack): Promise<Failure> {
  const where = config.nameOf(config.deployment.placement.head as NodeId);
  return new Promise((resolve) => {
    const onStuck = (reason: string): void =>
      resolve({ code: "engine_stalled", message: `The head's llama-server on ${where} is stuck: ${reason}` });
    const activity = (): ReturnType<typeof processActivity> => processActivity(head.process.pid);
    stack.use(watchHead({ ask: (signal) => isHealthy(head.port, signal), activity, onStuck }));
  });
}

function killEngine({ process: engine }: Head): void {
  if (engine.state.kind === "ended") return;
  try {
    process.kill(engine.pid, "SIGKILL");
  } catch {
    // It has just ended.
  }
}

function whenBroken(
  config: HeadRunConfig,
  head: Head,
  losses: StageLosses,
  lost: () => Failure | null,
  ending: { wanted: boolean },
): Promise<Failure> {
  return new Promise((resolve) => {
    void losses.first.then((failure) => {
      if (!ending.wanted) resolve(failure);
    });
    void head.ended.then(async (error) => {
      if (ending.wanted || error === null) return;
      const { code, message } = await causeOf(error, lost);
      const where = `The head on ${config.nameOf(config.deployment.placement.head as NodeId)}: `;
      resolve({ code, message: lost() === null ? `${where}${message}` : message });
    });
  });
}

/** The loss of a stage, where one is known or becomes known at once, else the error itself: the head's end is only its echo. */
async function causeOf(error: unknown, lost: () => Failure | null): Promise<ClusterdError> {
  const known = asClusterdError(error);
  if (known.code === "does_not_fit" || known.code === "model_broken") return known;
  const deadline = performance.now() + CAUSE_WAIT_MS;
  while (lost() === null && performance.now() < deadline) await new Promise((done) => setTimeout(done, 20));
  const failure = lost();
  return failure === null ? known : new ClusterdError(failure.code, failure.message, { cause: error });
}

/** Collects word of lost stages for one run; the first is the cause. */
export function createStageLosses(deployment: HeadedDeployment, nameOf: (node: NodeId) => string): StageLosses {
  const { promise, resolve } = Promise.withResolvers<Failure>();
  return {
    first: promise,
    report(node, reason, code = "worker_lost") {
      const { stages } = deployment.placement;
      // Of a host that is gone, the first of its stages stands for all.
      const stage =
        stages.find((candidate) => candidate.node === node) ?? stages.find((candidate) => placeOf(candidate.node).node === node);
      const layers = stage === undefined ? "" : ` (layers ${stage.firstLayer}-${stage.lastLayer})`;
      const worker = `the worker on ${nameOf(node)}${layers}`;
      const what = code === "worker_lost" ? "was lost" : code === "engine_stalled" ? "is stuck" : "cannot be used";
      // Of the head's own engine, not of the worker.
      if (code === "engine_crashed") resolve({ code, message: `Between the head and ${worker}: ${reason}` });
      else resolve({ code, message: `The${worker.slice(3)} ${what}: ${reason}` });
    },
  };
}
