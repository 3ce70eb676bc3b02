/**
 * Where a bandwidth figure comes from, best last: a table by chip name, a short probe (the engine's own arithmetic), real decoding; or a
 * person's flag.
 */
export type BandwidthSource = "table" | "probe" | "decode" | "flag";

/** One GPU or similar that the engine can use, as the engine itself lists it. */
export interface Accelerator {
  readonly name: string;
  readonly memoryBytes: number;
  /** Weights it reads per second, as its probe found; null or absent: not probed. */
  readonly bandwidthBytesPerSecond?: number | null;
}

/**
 * Memory that a setting of macOS would free for models: bytes in all, and the limit in MiB that it takes. No command: what a person is
 * told to run is not for a peer to say.
 */
export interface RaisableMemory {
  readonly memoryBytes: number;
  readonly wiredLimitMb: number;
}

/** What decoding models of one kind has shown of a machine: some formats cost more arithmetic for each byte than others. */
export interface DecodedBandwidth {
  /** See `modelKind`. */
  readonly kind: string;
  readonly bytesPerSecond: number;
}

/** Models that decode alike: of one architecture, in one quantisation. */
export function modelKind(model: { readonly architecture: string; readonly quantisation: string }): string {
  return `${model.architecture} ${model.quantisation}`;
}

/** What a machine has and what of it the cluster may use. All sizes in bytes. */
export interface DeviceInfo {
  /** `${process.platform}-${process.arch}` */
  readonly platform: string;
  readonly chip: string;
  readonly memoryBytesTotal: number;
  readonly memoryBytesFree: number;
  /** What models may occupy: total less a reserve for the machine itself, at most what the GPU may take of it, capped by `--memory`. */
  readonly memoryBytesBudget: number;
  /** Null or absent where no setting would give more. */
  readonly raisable?: RaisableMemory | null;
  readonly bandwidthBytesPerSecond: number;
  readonly bandwidthSource: BandwidthSource;
  /** Of the kinds of models it has decoded, the latest first; absent: none. */
  readonly decoded?: readonly DecodedBandwidth[] | null;
  /** Arithmetic on a prompt, floating-point operations per second; null or absent: not probed. */
  readonly flopsPerSecond?: number | null;
  readonly accelerators: readonly Accelerator[];
}
