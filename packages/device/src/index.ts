// What this machine has. Drivers and probes stay inside.
export type { DeviceConfig } from "./describe-device.ts";
export { describeAccelerator, describeDevice, refreshFree } from "./describe-device.ts";
export { formatBytes, parseSize } from "./size.ts";
