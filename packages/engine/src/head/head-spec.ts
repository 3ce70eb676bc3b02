import { ClusterdError, REMOTE_STAGES_MAX, type EmbeddingUse, type KvType } from "@clusterd/wire";
import type { HeadSpeculation } from "./speculation-arguments.ts";

/** How many layers go where; the head's own are always the first ones. */
export interface HeadLayers {
  readonly head: number;
  /** In pipeline order, at least one layer each; endpoints are `127.0.0.1:PORT`, the near ends of tunnels. */
  readonly workers: readonly { readonly endpoint: string; readonly layers: number }[];
  /**
   * Where the layers for later tokens are when the model speculates with them beside remote stages: a worker on the head's own machine.
   * With the last stage, each guess would cross the wire, and the graphs of model and guesses would take turns being sent anew.
   */
  readonly nextTokens?: { readonly endpoint: string };
}

export interface HeadSpec {
  readonly modelPath: string;
  readonly modelId: string;
  readonly layers: HeadLayers;
  /** Those that every token passes. */
  readonly layerCount: number;
  /** Layers for later tokens that the file claims to have behind them: the engine counts them, loaded or not. Absent: none. */
  readonly nextTokenLayers?: number;
  /** Tokens per slot. */
  readonly context: number;
  readonly slots: number;
  readonly kv: KvType;
  /** Absent: on. */
  readonly flashAttention?: boolean;
  readonly threads: number;
  /**
   * Whether the model's file is mapped instead of read. With our patch nothing is touched then of what the workers have themselves; without it
   * all of it is, and kept in memory.
   */
  readonly mapped?: boolean;
  /** The head's own accelerator, as the engine names it, or null for its CPU. */
  readonly acceleratorId: string | null;
  /** Of a model that makes embeddings. */
  readonly embedding?: EmbeddingUse | null;
  /** The file that lets the model see images. */
  readonly projectorPath?: string | null;
  /** Absent: every token by itself. */
  readonly speculation?: HeadSpeculation;
}

/** A device that takes layers, in pipeline order. */
export interface HeadDevice {
  /** As llama-server names it: `RPC0`, `CUDA0`, … */
  readonly name: string;
  readonly layers: number;
}

/**
 * The devices besides the head's CPU. Remote ones are named in the order of the endpoints. Layers for later tokens are counted to the last,
 * whether or not they are loaded.
 */
export function devicesOf(spec: Pick<HeadSpec, "layers" | "acceleratorId" | "nextTokenLayers">): readonly HeadDevice[] {
  const { layers, acceleratorId, nextTokenLayers = 0 } = spec;
  const devices = [
    ...(acceleratorId !== null && layers.head > 0 ? [{ name: acceleratorId, layers: layers.head }] : []),
    ...layers.workers.map((worker, index) => ({ name: `RPC${index}`, layers: worker.layers })),
    ...(layers.nextTokens === undefined ? [] : [{ name: `RPC${layers.workers.length}`, layers: 0 }]),
  ];
  const last = devices.length - 1;
  return devices.map((device, index) => (index === last ? { ...device, layers: device.layers + nextTokenLayers } : device));
}

/** The rpc-servers of a head, in the order in which the engine names them. */
export function endpointsOf({ workers, nextTokens }: HeadLayers): readonly string[] {
  return [...workers, ...(nextTokens === undefined ? [] : [nextTokens])].map(({ endpoint }) => endpoint);
}

/** The device that each layer must be on, as the engine's log names them. */
export function wantedDevices(spec: Pick<HeadSpec, "layers" | "acceleratorId" | "nextTokenLayers">): readonly string[] {
  const own = spec.acceleratorId ?? "CPU";
  const last = devicesOf(spec).at(-1)?.name ?? "CPU";
  return [
    ...Array.from({ length: spec.layers.head }, () => own),
    ...spec.layers.workers.flatMap((worker, index) => Array.from({ length: worker.layers }, () => `RPC${index}`)),
    ...Array.from({ length: spec.nextTokenLayers ?? 0 }, () => last),
  ];
}

const ENDPOINT = /^127\.0\.0\.1:\d{1,5}$/;
const isCount = (value: number, least: number): boolean => Number.isSafeInteger(value) && value >= least;

/** Throws where llama-server would abort, or silently do something else than what was planned. */
export function assertHeadSpec(spec: HeadSpec): void {
  const { layers, layerCount, acceleratorId } = spec;
  const { workers } = layers;
  // llama.cpp schedules over 16 backends; the CPU is one, the head's accelerator another.
  const remoteMax = REMOTE_STAGES_MAX - (acceleratorId === null ? 0 : 1) - (layers.nextTokens === undefined ? 0 : 1);
  if (workers.length > remoteMax)
    throw new ClusterdError("does_not_fit", `A head reaches at most ${remoteMax} workers, the plan has ${workers.length}.`);
  if (!isCount(layers.head, 0) || !workers.every((worker) => isCount(worker.layers, 1))) {
    throw new ClusterdError(
      "failed",
      `Layers come whole, and every worker holds one at least: ${[layers.head, ...workers.map((worker) => worker.layers)].join(", ")}.`,
    );
  }
  const total = workers.reduce((sum, worker) => sum + worker.layers, layers.head);
  if (total !== layerCount) throw new ClusterdError("failed", `The stages hold ${total} layers, the model has ${layerCount}.`);
  if (!isCount(spec.nextTokenLayers ?? 0, layers.nextTokens === undefined ? 0 : 1))
    throw new ClusterdError("failed", `A worker for later tokens needs layers for them; there are ${spec.nextTokenLayers}.`);
  const endpoints = endpointsOf(layers);
  const bad = endpoints.find((endpoint) => !ENDPOINT.test(endpoint));
  if (bad !== undefined)
    throw new ClusterdError("failed", `A head reaches workers on this machine's loopback only, not at ${bad}.`);
  // llama.cpp takes the same endpoint twice for one device.
  if (new Set(endpoints).size !== endpoints.length)
    throw new ClusterdError("failed", `Two stages have the same endpoint: ${endpoints.join(", ")}.`);
  if (![spec.context, spec.slots, spec.threads].every((value) => isCount(value, 1))) {
    throw new ClusterdError(
      "failed",
      `Context, slots and threads are whole numbers above zero: ${spec.context}, ${spec.slots}, ${spec.threads}.`,
    );
  }
}
