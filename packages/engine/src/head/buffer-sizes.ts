/** What a buffer holds: weights, the cache, intermediate results, logits; `RS` is the state of recurrent layers. */
export type BufferKind = "model" | "KV" | "RS" | "compute" | "output";

/** Memory of one kind on one device, as llama-server reports it (to 0.01 MiB). */
export interface BufferSize {
  /** `CPU`, `CUDA0`, … ; every remote one is called `RPC0[…]` and known by its endpoint. */
  readonly device: string;
  /** `127.0.0.1:PORT` of a remote one. */
  readonly endpoint: string | null;
  readonly kind: BufferKind;
  readonly bytes: number;
}

const REPORTED = /:\s+(\S+)\s+(model|KV|RS|compute|output) buffer size =\s*([\d.]+) MiB/;
const REMOTE = /^RPC\d+\[(.+)\]$/;

/**
 * Buffer sizes in a load log, one entry per device and kind. Weights and caches may come in several buffers, which add up; compute
 * and output buffers are reported anew when they are made anew, and the last report stands.
 */
export function parseBufferSizes(lines: Iterable<string>): readonly BufferSize[] {
  const sizes = new Map<string, BufferSize>();
  for (const line of lines) {
    const [, reported, kind, mebibytes] = REPORTED.exec(line) ?? [];
    if (reported === undefined || kind === undefined) continue;
    // Mapped or repacked weights on the CPU are still the head's memory.
    const device = /^CPU(_|$)/.test(reported) ? "CPU" : reported;
    const bytes = Math.round(Number(mebibytes) * 1024 * 1024);
    const key = `${device} ${kind}`;
    const before = kind === "compute" || kind === "output" ? 0 : (sizes.get(key)?.bytes ?? 0);
    sizes.set(key, { device, endpoint: REMOTE.exec(device)?.[1] ?? null, kind: kind as BufferKind, bytes: before + bytes });
  }
  return [...sizes.values()];
}
