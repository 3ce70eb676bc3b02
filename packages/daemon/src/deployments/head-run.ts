import { startHead, type Head } from "@clusterd/engine";
import type { DataPlane, Tunnel } from "@clusterd/mesh";
import {
  asClusterdError,
  ClusterdError,
  type ControlAnswers,
  type DataPlaneAddress,
  type NodeId,
  type PlanStage,
  type WorkerStartRequest,
  type WorkerStopRequest,
} from "@clusterd/wire";
import type { Failure, HeadedDeployment } from "../state/daemon-state.ts";
import { firstToken } from "./first-token.ts";

/** How long a worker's node may take to start its rpc-server. */
const WORKER_START_MS_MAX = 30_000;
const WORKER_STOP_MS_MAX = 5_000;
/** After the head's process ended: how long to wait for word of a worker that may have been the cause. */
const CAUSE_WAIT_MS = 800;
/** A broken tunnel is reported after so long: the worker's node knows how its process ended. */
const CLOSER_WORD_MS = 200;

/** What a run needs from the daemon. */
export interface HeadRunConfig {
  readonly deployment: HeadedDeployment;
  readonly modelPath: string;
  readonly engine: Parameters<typeof startHead>[0]["engine"];
  readonly threads: number;
  readonly acceleratorId: string | null;
  readonly dataPlane: DataPlane;
  nameOf(node: NodeId): string;
  /** Where a member takes tunnels; null when it is not connected. */
  dataPlaneOf(node: NodeId): { readonly address: string; readonly dataPlane: DataPlaneAddress } | null;
  startWorker(node: NodeId, request: WorkerStartRequest, signal: AbortSignal): Promise<ControlAnswers["worker-start"]>;
  stopWorker(node: NodeId, request: WorkerStopRequest, signal: AbortSignal): Promise<ControlAnswers["worker-stop"]>;
  onProgress(stage: number, fraction: number): void;
  readonly signal: AbortSignal;
}

/** One epoch of a deployment, up and answering. */
export interface HeadRun extends AsyncDisposable {
  readonly port: number;
  readonly apiKey: string;
  readonly epoch: number;
  readonly tokensPerSecond: number | null;
  /** Settles with the cause when the pipeline breaks by itself; never when it is disposed of. */
  readonly broken: Promise<Failure>;
}

/** Word of a stage's end, told to the run by whoever hears it first. */
export interface StageLosses {
  /** Remembers the first loss; later ones are its consequences. */
  report(node: NodeId, reason: string): void;
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
    // Settled, not raced: a worker that starts after another failed must be stopped as well.
    const settled = await Promise.allSettled(remote.map(({ stage }) => openStage(config, stage, losses, stack)));
    const failed = settled.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    const tunnels = settled.map((result) => (result as PromiseFulfilledResult<Tunnel>).value);
    const head = stack.use(
      await startHead({
        engine: config.engine,
        modelPath: config.modelPath,
        modelId: deployment.model,
        layers: {
          head: own === undefined ? 0 : layerCount(own.stage),
          workers: remote.map(({ stage }, index) => ({
            endpoint: `127.0.0.1:${tunnels[index]?.port}`,
            layers: layerCount(stage),
          })),
        },
        layerCount: placement.model.layerCount,
        context: placement.context,
        slots: placement.slots,
        kv: placement.kv,
        threads: config.threads,
        acceleratorId: config.acceleratorId,
        onProgress: (fraction) => reportProgress(config, fraction),
        signal,
      }),
    );
    const measured = await firstToken({ port: head.port, apiKey: head.apiKey }, signal);
    const kept = stack.move();
    const ending = { wanted: false };
    const broken = whenBroken(head, losses, () => lost, ending);
    return {
      port: head.port,
      apiKey: head.apiKey,
      epoch: deployment.epoch,
      tokensPerSecond: measured,
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

/** Starts one remote stage and opens its tunnel; both are undone with the stack, tunnel first. */
async function openStage(
  config: HeadRunConfig,
  stage: PlanStage,
  losses: StageLosses,
  stack: AsyncDisposableStack,
): Promise<Tunnel> {
  const node = stage.node as NodeId;
  const { deployment } = config;
  const where = `${config.nameOf(node)} (layers ${stage.firstLayer}-${stage.lastLayer})`;
  const reach = config.dataPlaneOf(node);
  if (reach === null) throw new ClusterdError("worker_lost", `${where} is not connected.`);
  const signal = AbortSignal.any([config.signal, AbortSignal.timeout(WORKER_START_MS_MAX)]);
  let ticket: Uint8Array;
  try {
    const request: WorkerStartRequest = {
      type: "worker-start",
      deployment: deployment.id,
      epoch: deployment.epoch,
      model: deployment.model,
      firstLayer: stage.firstLayer,
      lastLayer: stage.lastLayer,
      memoryBytes: stage.memoryBytes,
    };
    ({ ticket } = await config.startWorker(node, request, signal));
  } catch (error) {
    const known = asClusterdError(error);
    throw new ClusterdError(
      known.code === "failed" ? "worker_lost" : known.code,
      `${where} could not start its worker: ${known.message}`,
      { cause: error },
    );
  }
  stack.defer(async () => {
    const stop: WorkerStopRequest = { type: "worker-stop", deployment: deployment.id, epoch: deployment.epoch };
    // A node that is gone stops its stage by itself once it misses this head.
    await config.stopWorker(node, stop, AbortSignal.timeout(WORKER_STOP_MS_MAX)).catch(() => undefined);
  });
  const tunnel = await config.dataPlane.listen({
    address: reach.address,
    port: reach.dataPlane.port,
    fingerprint: reach.dataPlane.fingerprint,
    ticket,
    peerName: config.nameOf(node),
    // The worker's own node may say more of it in a moment.
    onFailure: (reason) => void setTimeout(() => losses.report(node, reason), CLOSER_WORD_MS),
  });
  stack.use(tunnel);
  return tunnel;
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

function whenBroken(head: Head, losses: StageLosses, lost: () => Failure | null, ending: { wanted: boolean }): Promise<Failure> {
  return new Promise((resolve) => {
    void losses.first.then((failure) => {
      if (!ending.wanted) resolve(failure);
    });
    void head.ended.then(async (error) => {
      if (ending.wanted || error === null) return;
      const failure = await causeOf(error, lost);
      resolve({ code: failure.code, message: failure.message });
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
    report(node, reason) {
      const stage = deployment.placement.stages.find((candidate) => candidate.node === node);
      const layers = stage === undefined ? "" : ` (layers ${stage.firstLayer}-${stage.lastLayer})`;
      resolve({ code: "worker_lost", message: `The worker on ${nameOf(node)}${layers} was lost: ${reason}` });
    },
  };
}
