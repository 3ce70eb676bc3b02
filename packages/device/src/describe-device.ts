import type { Accelerator, BandwidthSource, DeviceInfo } from "@clusterd/wire";
import { tableBandwidth } from "./bandwidth-table.ts";
import { chipName } from "./chip-name.ts";
import { memoryBudget } from "./memory.ts";
import { probeBandwidth } from "./probe-bandwidth.ts";
import { readMemory } from "./read-memory.ts";

export interface DeviceConfig {
  /** `--memory`: at most this much is given to models. */
  readonly memoryCapBytes: number | null;
  /** `--bandwidth`, bytes per second. */
  readonly bandwidthBytesPerSecond: number | null;
  /** As the engine lists them. */
  readonly accelerators: readonly Accelerator[];
  /** Where a probe's figure is kept. */
  readonly cacheDir: string;
  readonly signal: AbortSignal;
}

/** What this machine has. A first probe of its memory takes half a second; later starts know the figure. */
export async function describeDevice(config: DeviceConfig): Promise<DeviceInfo> {
  const { totalBytes, freeBytes } = readMemory();
  const chip = chipName();
  const [bandwidthBytesPerSecond, bandwidthSource] = await bandwidth(config, chip);
  const [first] = config.accelerators;
  // Memory shared with the processor (Apple) is the same memory, counted once; a card's own is what its layers may use.
  const unified = process.platform === "darwin";
  const usable = first === undefined || unified ? totalBytes : first.memoryBytes;
  return {
    platform: `${process.platform}-${process.arch}`,
    chip,
    memoryBytesTotal: totalBytes,
    memoryBytesFree: freeBytes,
    memoryBytesBudget: memoryBudget(usable, config.memoryCapBytes),
    bandwidthBytesPerSecond,
    bandwidthSource,
    accelerators: config.accelerators,
  };
}

async function bandwidth(config: DeviceConfig, chip: string): Promise<readonly [number, BandwidthSource]> {
  if (config.bandwidthBytesPerSecond !== null) return [config.bandwidthBytesPerSecond, "flag"];
  // Where there is an accelerator the layers run on it.
  const fromTable = tableBandwidth(config.accelerators[0]?.name ?? chip) ?? tableBandwidth(chip);
  if (fromTable !== null) return [fromTable, "table"];
  return [await probeBandwidth(chip, config.cacheDir, config.signal), "probe"];
}

/** What one of a host's accelerators may hold, and how fast it reads it. A card of unknown speed counts as fast as the host's first. */
export function describeAccelerator(
  device: DeviceInfo,
  index: number,
): { readonly memoryBytesBudget: number; readonly bandwidthBytesPerSecond: number } | null {
  const accelerator = device.accelerators[index];
  if (accelerator === undefined) return null;
  if (index === 0) return device;
  const bandwidthBytesPerSecond = tableBandwidth(accelerator.name) ?? device.bandwidthBytesPerSecond;
  return { memoryBytesBudget: memoryBudget(accelerator.memoryBytes, null), bandwidthBytesPerSecond };
}

/** The same device with its free memory as it is now. */
export function refreshFree(device: DeviceInfo): DeviceInfo {
  return { ...device, memoryBytesFree: readMemory().freeBytes };
}
