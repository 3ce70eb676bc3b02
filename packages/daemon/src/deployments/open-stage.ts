import { BadFrame, createHeadStage, draftTokensMax, PACKING_VERSION, type CopyBoard, type HeadStage } from "@clusterd/engine";
import { joinSockets, type Tunnel } from "@clusterd/mesh";
import {
  asClusterdError,
  ClusterdError,
  placeOf,
  type ControlAnswers,
  type ErrorCode,
  type NodeId,
  type PlanStage,
  type WorkerStartRequest,
  type WorkerStopRequest,
} from "@clusterd/wire";
import type { HeadRunConfig, StageLosses } from "./head-run.ts";
import { groupsOf, stageWeights } from "./model-weights.ts";
import { takesConnections } from "./takes-connections.ts";

/** How long a worker's node may take to start its rpc-server, and to look through so many bytes of its own weights per ms. */
const WORKER_START_MS_MAX = 30_000;
const DIGEST_BYTES_PER_MS = 20_000;
const WORKER_STOP_MS_MAX = 5_000;
/** A broken tunnel is reported after so long: the worker's node knows how its process ended. */
const CLOSER_WORD_MS = 200;

/** One remote stage, its rpc-server up and the near end of its tunnel listening. */
export interface OpenStage {
  readonly node: NodeId;
  readonly stage: PlanStage;
  readonly relay: HeadStage;
  readonly tunnel: Tunnel;
  /** Bytes between the two ends of the relay, of all its connections. */
  readonly traffic: { readonly sent: number };
}

/** Starts one remote stage and opens its tunnel; both are undone with the stack, tunnel first. */
export async function openStage(
  config: HeadRunConfig,
  stage: PlanStage,
  losses: StageLosses,
  copies: CopyBoard | null,
  stack: AsyncDisposableStack,
): Promise<OpenStage> {
  const place = stage.node as NodeId;
  const { node } = placeOf(place);
  const { deployment } = config;
  const reach = config.dataPlaneOf(node);
  if (reach === null) throw new ClusterdError("worker_lost", `${nameStage(config, stage)} is not connected.`);
  const weights = await config.weights.open(deployment.contentId, config.signal);
  const groups = groupsOf(stage);
  const digests = await weights.digests(groups, config.signal);
  const { ticket, held, hashed, packs } = await startWorker(config, stage, digests);
  stack.defer(async () => {
    const stop: WorkerStopRequest = { type: "worker-stop", deployment: deployment.id, epoch: deployment.epoch };
    // A node that is gone stops its stage by itself once it misses this head.
    await config.stopWorker(node, stop, AbortSignal.timeout(WORKER_STOP_MS_MAX)).catch(() => undefined);
  });
  const { placement } = deployment;
  function lose(reason: string, code: ErrorCode): void {
    losses.report(place, reason, code);
    // The head's engine waits for an answer here and hears no request to end: cut off, it ends, and its clients are told at once.
    void tunnel[Symbol.asyncDispose]();
  }
  const relay = stack.use(
    createHeadStage({
      ...stageWeights(weights.table, groups, digests, held, hashed ?? []),
      hiddenBytes: placement.model.hiddenBytes,
      packs: packs === PACKING_VERSION,
      decodeTokensMax: placement.slots * (1 + draftTokensMax(placement.speculation.type)),
      ...(copies === null ? {} : { copies }),
      async activity(within) {
        const { device } = placeOf(place);
        const asked = { type: "worker-activity", deployment: deployment.id, epoch: deployment.epoch, device } as const;
        return (await config.workerActivity(node, asked, within)).activity;
      },
      probe: () => takesConnections(reach.address, reach.dataPlane.port),
      onLost(reason) {
        config.onSilent(node);
        lose(reason, "worker_lost");
      },
      onStalled: (reason) => lose(reason, "engine_stalled"),
    }),
  );
  const traffic = { sent: 0, received: 0 };
  const tunnel = await config.dataPlane.listen({
    address: reach.address,
    port: reach.dataPlane.port,
    fingerprint: reach.dataPlane.fingerprint,
    ticket,
    peerName: config.nameOf(place),
    // The worker's own node may say more of it in a moment.
    onFailure: (reason) => void setTimeout(() => losses.report(place, reason), CLOSER_WORD_MS),
    async carry(local, remote) {
      const error = await joinSockets(local, remote, traffic, relay.connection());
      // What our own end of the relay says is the cause; a socket's error is for `onFailure`.
      if (error instanceof ClusterdError) losses.report(place, error.message, error.code);
      else if (error instanceof BadFrame) losses.report(place, `between the two there was ${error.message}`);
      return error;
    },
  });
  stack.use(tunnel);
  return { node: place, stage, relay, tunnel, traffic };
}

async function startWorker(
  config: HeadRunConfig,
  stage: PlanStage,
  digests: WorkerStartRequest["digests"],
): Promise<ControlAnswers["worker-start"]> {
  const { deployment } = config;
  const { firstLayer, lastLayer, memoryBytes } = stage;
  const within = WORKER_START_MS_MAX + Math.ceil(stage.weightBytes / DIGEST_BYTES_PER_MS);
  const request: WorkerStartRequest = {
    type: "worker-start",
    deployment: deployment.id,
    epoch: deployment.epoch,
    model: deployment.model,
    device: placeOf(stage.node).device,
    firstLayer,
    lastLayer,
    memoryBytes,
    contentId: deployment.contentId,
    digests,
    hashes: !config.engine.localWeights,
  };
  let answer: ControlAnswers["worker-start"];
  try {
    answer = await config.startWorker(
      placeOf(stage.node as NodeId).node,
      request,
      AbortSignal.any([config.signal, AbortSignal.timeout(within)]),
    );
  } catch (error) {
    const { code, message } = asClusterdError(error);
    throw new ClusterdError(
      code === "failed" ? "worker_lost" : code,
      `${nameStage(config, stage)} could not start its worker: ${message}`,
      { cause: error },
    );
  }
  // Neither side has it: nothing but zeros would be loaded.
  const nowhere = digests.findIndex((digest, index) => digest === null && answer.held[index] !== true);
  if (nowhere >= 0 && nowhere < digests.length - 1) {
    throw new ClusterdError(
      "model_broken",
      `Layer ${firstLayer + nowhere} of ${deployment.model} is neither in the head's file nor on ${config.nameOf(stage.node as NodeId)}.`,
      { next: "Put a whole copy of the model on one of the two." },
    );
  }
  return answer;
}

/** Throws where a weight has not come that must be there, and says where the weights came from. */
export function tellLoad(config: HeadRunConfig, { node, stage, relay, traffic }: OpenStage): void {
  const where = nameStage(config, stage);
  try {
    relay.load.assertComplete();
  } catch (error) {
    const { code, message } = asClusterdError(error);
    throw new ClusterdError(code, `${where} is not what was planned: ${message}.`, { cause: error });
  }
  const { injectedBytes, sentBytes } = relay.load.summary;
  if (sentBytes > 0) config.log(`${config.nameOf(node)} lacks weights: ${sentBytes} bytes were sent to it`);
  if (injectedBytes > 0) config.log(`${where} has ${injectedBytes} bytes of weights from its own disk`);
  config.log(`${where} was sent ${traffic.sent} bytes to load it`);
}

function nameStage(config: Pick<HeadRunConfig, "nameOf">, stage: PlanStage): string {
  return `${config.nameOf(stage.node as NodeId)} (layers ${stage.firstLayer}-${stage.lastLayer})`;
}
