/** Where a bandwidth figure comes from, best last: a table by chip name, a short probe, real decoding; or a person's flag. */
export type BandwidthSource = "table" | "probe" | "decode" | "flag";

/** One GPU or similar that the engine can use, as the engine itself lists it. */
export interface Accelerator {
  readonly name: string;
  readonly memoryBytes: number;
}

/** What a machine has and what of it the cluster may use. All sizes in bytes. */
export interface DeviceInfo {
  /** `${process.platform}-${process.arch}` */
  readonly platform: string;
  readonly chip: string;
  readonly memoryBytesTotal: number;
  readonly memoryBytesFree: number;
  /** What models may occupy: total less a reserve for the machine itself, capped by `--memory`. */
  readonly memoryBytesBudget: number;
  readonly bandwidthBytesPerSecond: number;
  readonly bandwidthSource: BandwidthSource;
  readonly accelerators: readonly Accelerator[];
}
