import { ClusterdError, REMOTE_STAGES_MAX, type EmbeddingUse, type KvType } from "@clusterd/wire";
import type { HeadSpeculation } from "./speculation-arguments.ts";

/** How many layers go where; the head's own are always the first ones. */
export interface HeadLayers {
  readonly head: number;
  /** In pipeline order, at least one layer each; endpoints are `127.0.0.1:PORT`, the near ends of tunnels. */
  readonly workers: readonly { readonly endpoint: string; readonly layers: number }[];
}

export interface HeadSpec {
  readonly modelPath: string;
  readonly modelId: string;
  readonly layers: HeadLayers;
  readonly layerCount: number;
  /** Tokens per slot. */
  readonly context: number;
  readonly slots: number;
  readonly kv: KvType;
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

/** The devices besides the head's CPU. Remote ones are named in the order of the endpoints. */
export function devicesOf({ layers, acceleratorId }: Pick<HeadSpec, "layers" | "acceleratorId">): readonly HeadDevice[] {
  return [
    ...(acceleratorId !== null && layers.head > 0 ? [{ name: acceleratorId, layers: layers.head }] : []),
    ...layers.workers.map((worker, index) => ({ name: `RPC${index}`, layers: worker.layers })),
  ];
}

/** The device that each layer must be on, as the engine's log names them. */
export function wantedDevices(spec: Pick<HeadSpec, "layers" | "acceleratorId">): readonly string[] {
  const own = spec.acceleratorId ?? "CPU";
  return [
    ...Array.from({ length: spec.layers.head }, () => own),
    ...spec.layers.workers.flatMap((worker, index) => Array.from({ length: worker.layers }, () => `RPC${index}`)),
  ];
}

const ENDPOINT = /^127\.0\.0\.1:\d{1,5}$/;
const isCount = (value: number, least: number): boolean => Number.isSafeInteger(value) && value >= least;

/** Throws where llama-server would abort, or silently do something else than what was planned. */
export function assertHeadSpec(spec: HeadSpec): void {
  const { layers, layerCount, acceleratorId } = spec;
  const { workers } = layers;
  // llama.cpp schedules over 16 backends; the CPU is one, the head's accelerator another.
  const remoteMax = REMOTE_STAGES_MAX - (acceleratorId === null ? 0 : 1);
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
  const endpoints = workers.map((worker) => worker.endpoint);
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
