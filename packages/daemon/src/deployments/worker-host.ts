import {
  BadFrame,
  createWorkerRelay,
  describeEnd,
  PACKING_VERSION,
  processActivity,
  startWorker,
  type ProcessActivity,
  type Worker,
} from "@clusterd/engine";
import { joinSockets, type Carry, type DataPlane, type Offer } from "@clusterd/mesh";
import { ClusterdError, type ControlAnswers, type DeploymentId, type NodeId, type WorkerStartRequest } from "@clusterd/wire";

import type { HeldWeights, ModelWeights } from "./model-weights.ts";

/** Stages one node serves at once, over all deployments. */
export const HOSTED_STAGES_MAX = 32;

interface HostedStage {
  readonly head: NodeId;
  readonly request: WorkerStartRequest;
  readonly worker: Worker;
  readonly offer: Offer;
}

export interface WorkerHostConfig {
  readonly engine: Parameters<typeof startWorker>[0]["engine"] & { readonly localWeights: boolean };
  readonly weights: ModelWeights;
  readonly threads: number;
  /** The engine's names of this host's accelerators; none: its CPU. */
  readonly deviceIds: readonly string[];
  readonly dataPlane: DataPlane;
  /** Bytes that a device of this node may still give to a stage, not counting one that the new stage replaces. */
  memoryBytesLeft(device: number, replacing: DeploymentId): number;
  fingerprintOf(node: NodeId): string | null;
  /** A stage's process ended by itself. */
  onEnded(head: NodeId, request: Pick<WorkerStartRequest, "deployment" | "epoch" | "device">, reason: string): void;
  log(message: string): void;
}

/** The rpc-servers this node runs for heads elsewhere. */
export interface WorkerHost extends AsyncDisposable {
  start(head: NodeId, request: WorkerStartRequest, signal: AbortSignal): Promise<ControlAnswers["worker-start"]>;
  stop(deployment: DeploymentId, epoch: number): Promise<boolean>;
  /** What the engine of a head's stage is doing; null: there is none, or this system does not tell. */
  activity(head: NodeId, stage: Pick<WorkerStartRequest, "deployment" | "epoch" | "device">): Promise<ProcessActivity | null>;
  /** Stops every stage whose head the predicate names: it left, or does not know the stage any more. */
  stopWhere(orphaned: (stage: { head: NodeId; deployment: DeploymentId; epoch: number }) => boolean): Promise<void>;
  readonly hosted: readonly {
    readonly head: NodeId;
    readonly deployment: DeploymentId;
    readonly epoch: number;
    readonly device: number;
    readonly memoryBytes: number;
  }[];
}

export function createWorkerHost(config: WorkerHostConfig): WorkerHost {
  /** One for each deployment and device. */
  const stages = new Map<string, HostedStage>();
  /** Highest epoch seen of each deployment: an older head is fenced off. */
  const epochs = new Map<DeploymentId, number>();
  const starting = new Set<string>();

  async function end(stage: HostedStage): Promise<void> {
    stages.delete(keyOf(stage.request));
    stage.offer[Symbol.dispose]();
    await stage.worker[Symbol.asyncDispose]();
  }

  /** Whether another device of this host serves the same epoch, or is about to. */
  function hasOther({ deployment, epoch }: WorkerStartRequest): boolean {
    const served = [...stages.values()].some(({ request }) => request.deployment === deployment && request.epoch === epoch);
    return served || [...starting].some((key) => key.startsWith(`${deployment}/`));
  }

  /** What passes between a head and this node's engine: what a stage needs, and nothing else. */
  function guarded(request: WorkerStartRequest, { weights }: HeldWeights, readsWeights: boolean): Carry {
    return async (local, remote) => {
      const relay = createWorkerRelay({ memoryBytes: request.memoryBytes, weights, readsWeights });
      const error = await joinSockets(local, remote, { sent: 0, received: 0 }, relay);
      if (error instanceof BadFrame) config.log(`a connection of the head of ${request.model} was cut: it sent ${error.message}`);
      return error;
    };
  }

  function tellHeld({ model }: WorkerStartRequest, { differing, overruled, unchecked }: HeldWeights): void {
    if (differing.length > 0)
      config.log(
        `this node's copy of ${model} differs from the head's in layer ${differing.join(", ")}: the head sends what differs`,
      );
    if (overruled.length > 0)
      config.log(
        `the head's copy of ${model} is not what the hub says in layer ${overruled.join(", ")}, this node's is: it is taken from here`,
      );
    if (unchecked) config.log(`the head has no copy of its own of some layers of ${model}: this node's are taken as they are`);
  }

  return {
    async start(head, request, signal) {
      const { deployment, epoch, device, firstLayer, lastLayer } = request;
      const key = keyOf(request);
      const known = stages.get(key);
      const fingerprint = config.fingerprintOf(head);
      if (fingerprint === null)
        throw new ClusterdError("failed", `The head ${head} has not told its data-plane certificate yet.`, {
          next: "Try again in a moment.",
        });
      // Another device of this host may have begun the same epoch.
      const over = epochs.get(deployment) ?? 0;
      if (epoch < over || (epoch === over && (known?.request.epoch === epoch || !hasOther(request)))) {
        throw new ClusterdError(
          "failed",
          `Epoch ${epoch} of this deployment is over here: epoch ${epochs.get(deployment)} has been seen.`,
        );
      }
      if (device > 0 && config.deviceIds[device] === undefined)
        throw new ClusterdError("not_found", `This node has no accelerator ${device}.`);
      if (starting.has(key)) throw new ClusterdError("failed", "This stage is being started already.");
      const left = config.memoryBytesLeft(device, deployment);
      if (request.memoryBytes > left) {
        throw new ClusterdError(
          "does_not_fit",
          `Layers ${firstLayer}-${lastLayer} need ${request.memoryBytes} bytes here, ${left} are left.`,
        );
      }
      if (known === undefined && stages.size + starting.size >= HOSTED_STAGES_MAX) {
        throw new ClusterdError("does_not_fit", `This node serves ${HOSTED_STAGES_MAX} stages already.`);
      }
      starting.add(key);
      try {
        if (known !== undefined) await end(known);
        epochs.set(deployment, epoch);
        const own = await config.weights.heldFor(request, signal);
        tellHeld(request, own);
        const readsWeights = config.engine.localWeights && own.weights !== null;
        const worker = await startWorker({
          engine: config.engine,
          threads: config.threads,
          deviceId: config.deviceIds[device] ?? null,
          ...(readsWeights ? { weightFiles: own.weights?.parts ?? [] } : {}),
          signal,
        });
        const offer = config.dataPlane.offer({
          peerFingerprint: fingerprint,
          target: { host: "127.0.0.1", port: worker.port },
          kind: "rpc",
          label: `${request.model} layers ${firstLayer}-${lastLayer}`,
          carry: guarded(request, own, readsWeights),
        });
        const stage: HostedStage = { head, request, worker, offer };
        stages.set(key, stage);
        config.log(`serving layers ${firstLayer}-${lastLayer} of ${request.model}`);
        void worker.process.ended.then(async (ended) => {
          if (stages.get(key) !== stage) return;
          await end(stage);
          config.onEnded(head, request, `rpc-server ${describeEnd(ended)}`);
        });
        return { ticket: offer.ticket, held: own.held, hashed: own.hashed, packs: PACKING_VERSION };
      } finally {
        starting.delete(key);
      }
    },
    async stop(deployment, epoch) {
      const own = [...stages.values()].filter(({ request }) => request.deployment === deployment && request.epoch === epoch);
      await Promise.all(own.map(end));
      for (const { request } of own) config.log(`stopped layers ${request.firstLayer}-${request.lastLayer} of ${request.model}`);
      return own.length > 0;
    },
    async activity(head, { deployment, epoch, device }) {
      const stage = stages.get(`${deployment}/${device}`);
      if (stage === undefined || stage.head !== head || stage.request.epoch !== epoch) return null;
      return processActivity(stage.worker.process.pid);
    },
    async stopWhere(orphaned) {
      const over = [...stages.values()].filter((stage) =>
        orphaned({ head: stage.head, deployment: stage.request.deployment, epoch: stage.request.epoch }),
      );
      for (const stage of over)
        config.log(
          `its head is gone: stopping layers ${stage.request.firstLayer}-${stage.request.lastLayer} of ${stage.request.model}`,
        );
      await Promise.all(over.map(end));
    },
    get hosted() {
      return [...stages.values()].map(({ head, request }) => ({
        head,
        deployment: request.deployment,
        epoch: request.epoch,
        device: request.device,
        memoryBytes: request.memoryBytes,
      }));
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...stages.values()].map(end));
    },
  };
}

const keyOf = ({ deployment, device }: WorkerStartRequest): string => `${deployment}/${device}`;
