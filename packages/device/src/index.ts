// What this machine has. Drivers and tables stay inside.
export type { DeviceConfig, DeviceSpeed } from "./describe-device.ts";
export { describeAccelerator, describeDevice, refreshFree, withProbes } from "./describe-device.ts";
export { formatBytes, parseSize } from "./size.ts";
export { raiseCommand } from "./wired-limit.ts";
