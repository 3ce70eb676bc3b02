import { ClusterdError, REMOTE_STAGES_MAX, type KvType } from "@clusterd/wire";

/** How many layers go where; the head's own are always the first ones. */
export interface HeadLayers {
  readonly head: number;
  /** In pipeline order; endpoints are `127.0.0.1:PORT`. */
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
  /** The head's own accelerator, as the engine names it, or null for its CPU. */
  readonly acceleratorId: string | null;
}

/**
 * llama-server's command line for exact layer ranges. A model has `layerCount` + 1 slots, the last is the output; `-ngl` counts slots
 * off the head's CPU, from the end, and `-ts` shares those among the devices in order.
 */
export function headArguments(spec: HeadSpec): readonly string[] {
  const { layers, layerCount, acceleratorId } = spec;
  const total = layers.head + layers.workers.reduce((sum, worker) => sum + worker.layers, 0);
  if (total !== layerCount) throw new ClusterdError("failed", `The stages hold ${total} layers, the model has ${layerCount}.`);
  if (layers.workers.length > REMOTE_STAGES_MAX) throw new ClusterdError("does_not_fit", `A head reaches at most ${REMOTE_STAGES_MAX} workers, the plan has ${layers.workers.length}.`);
  return [
    "-m", spec.modelPath, "--alias", spec.modelId, "--load-mode", "none",
    ...deviceArguments(layers, layerCount, acceleratorId),
    "-fit", "off", "-fa", "on", "-c", String(spec.context * spec.slots), "-np", String(spec.slots),
    ...(spec.kv === "f16" ? [] : ["-ctk", spec.kv, "-ctv", spec.kv]),
    "-cram", "0", "--no-warmup", "--offline", "--no-ui", "--metrics", "--jinja", "-t", String(spec.threads), "-lv", "5",
    "--host", "127.0.0.1", "--port", "0",
  ];
}

function deviceArguments(layers: HeadLayers, layerCount: number, acceleratorId: string | null): readonly string[] {
  const local = acceleratorId !== null && layers.head > 0 ? [{ device: acceleratorId, layers: layers.head }] : [];
  const devices = [...local, ...layers.workers.map((worker, index) => ({ device: `RPC${index}`, layers: worker.layers }))];
  if (devices.length === 0) return ["--device", "none", "-ngl", "0"];
  const onCpu = local.length > 0 ? 0 : layers.head;
  const split = devices.map((device, index) => device.layers + (index === devices.length - 1 ? 1 : 0));
  return [
    ...(layers.workers.length > 0 ? ["--rpc", layers.workers.map((worker) => worker.endpoint).join(",")] : []),
    "--device", devices.map(({ device }) => device).join(","),
    "-ngl", String(layerCount - onCpu + 1), "-ts", split.join(","), "-sm", "layer",
    // The output stays on the head: the last worker returns a hidden state instead of the logits of the whole vocabulary.
    ...(layers.workers.length > 0 ? ["-ot", "^(output|token_embd)\\.weight=CPU"] : []),
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
