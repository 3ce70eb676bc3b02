import type { Accelerator, BandwidthSource, DeviceInfo } from "@clusterd/wire";
import { tableBandwidth } from "./bandwidth-table.ts";
import { budgetOf } from "./budget.ts";
import { chipName } from "./chip-name.ts";
import { memoryBudget } from "./memory.ts";
import { readMemory } from "./read-memory.ts";
import { readWiredLimit } from "./wired-limit.ts";

export interface DeviceConfig {
  /** `--memory`: at most this much is given to models. */
  readonly memoryCapBytes: number | null;
  /** `--bandwidth`, bytes per second. */
  readonly bandwidthBytesPerSecond: number | null;
  /** As the engine lists them. */
  readonly accelerators: readonly Accelerator[];
}

/** What a probe found of one device. */
export interface DeviceSpeed {
  readonly bytesPerSecond: number;
  readonly flopsPerSecond: number;
}

/** What is assumed of a machine that no table knows, until it is probed or decodes: the slowest one anybody joins with. */
export const ASSUMED_BYTES_PER_SECOND = 4e9;

/** What this machine has, before any of it is measured. */
export function describeDevice(config: DeviceConfig): DeviceInfo {
  const { totalBytes, freeBytes } = readMemory();
  const chip = chipName();
  const [first] = config.accelerators;
  const unified = process.platform === "darwin" && process.arch === "arm64";
  const [bandwidthBytesPerSecond, bandwidthSource] = knownBandwidth(config, chip);
  return {
    platform: `${process.platform}-${process.arch}`,
    chip,
    memoryBytesTotal: totalBytes,
    memoryBytesFree: freeBytes,
    ...budgetOf({
      totalBytes,
      acceleratorBytes: first?.memoryBytes ?? null,
      unified,
      wiredLimitMb: unified ? readWiredLimit() : null,
      capBytes: config.memoryCapBytes,
    }),
    bandwidthBytesPerSecond,
    bandwidthSource,
    flopsPerSecond: null,
    accelerators: config.accelerators,
  };
}

function knownBandwidth(config: DeviceConfig, chip: string): readonly [number, BandwidthSource] {
  if (config.bandwidthBytesPerSecond !== null) return [config.bandwidthBytesPerSecond, "flag"];
  // Where there is an accelerator the layers run on it.
  const fromTable = tableBandwidth(config.accelerators[0]?.name ?? chip) ?? tableBandwidth(chip);
  return [fromTable ?? ASSUMED_BYTES_PER_SECOND, "table"];
}

/**
 * The device with what its probes found, the accelerators' in their order (the processor's where there are none); null: a probe failed.
 * A table knows what a chip could do, a probe what the engine gets out of it here: it replaces the table's figure, but neither what
 * decoding has shown nor what a person has set.
 */
export function withProbes(device: DeviceInfo, speeds: readonly (DeviceSpeed | null)[]): DeviceInfo {
  const accelerators = device.accelerators.map((one, index) => ({
    ...one,
    bandwidthBytesPerSecond: speeds[index]?.bytesPerSecond ?? null,
  }));
  const [first] = speeds;
  if (first === undefined || first === null) return { ...device, accelerators };
  const probed: DeviceInfo = { ...device, accelerators, flopsPerSecond: first.flopsPerSecond };
  return device.bandwidthSource === "table" || device.bandwidthSource === "probe"
    ? { ...probed, bandwidthBytesPerSecond: first.bytesPerSecond, bandwidthSource: "probe" }
    : probed;
}

/** What one of a host's accelerators may hold, and how fast it reads it. A card of unknown speed counts as fast as the host's first. */
export function describeAccelerator(
  device: DeviceInfo,
  index: number,
): Pick<DeviceInfo, "memoryBytesBudget" | "bandwidthBytesPerSecond" | "bandwidthSource" | "flopsPerSecond"> | null {
  const accelerator = device.accelerators[index];
  if (accelerator === undefined) return null;
  if (index === 0) return device;
  const memoryBytesBudget = memoryBudget(accelerator.memoryBytes, null);
  const probed = accelerator.bandwidthBytesPerSecond ?? null;
  if (probed !== null) return { memoryBytesBudget, bandwidthBytesPerSecond: probed, bandwidthSource: "probe" };
  const bandwidthBytesPerSecond = tableBandwidth(accelerator.name) ?? device.bandwidthBytesPerSecond;
  return { memoryBytesBudget, bandwidthBytesPerSecond, bandwidthSource: "table" };
}

/** The same device with its free memory as it is now. */
export function refreshFree(device: DeviceInfo): DeviceInfo {
  return { ...device, memoryBytesFree: readMemory().freeBytes };
}
