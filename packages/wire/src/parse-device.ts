import { atMost, list, oneOf, record, text, type Check } from "./check.ts";
import type { BandwidthSource, DeviceInfo } from "./device-info.ts";
import { ACCELERATORS_MAX, BANDWIDTH_PLAUSIBLE, MEMORY_BYTES_PLAUSIBLE, NAME_LENGTH_MAX, TITLE_LENGTH_MAX } from "./limits.ts";

const memoryBytes = atMost(MEMORY_BYTES_PLAUSIBLE);

export const checkDevice: Check<DeviceInfo> = record({
  platform: text(NAME_LENGTH_MAX),
  chip: text(TITLE_LENGTH_MAX),
  memoryBytesTotal: memoryBytes,
  memoryBytesFree: memoryBytes,
  memoryBytesBudget: memoryBytes,
  bandwidthBytesPerSecond: atMost(BANDWIDTH_PLAUSIBLE),
  bandwidthSource: oneOf<BandwidthSource>("table", "probe", "decode", "flag"),
  accelerators: list(record({ name: text(TITLE_LENGTH_MAX), memoryBytes }), ACCELERATORS_MAX),
});
