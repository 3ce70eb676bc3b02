import type { EngineDevice } from "./engine.ts";

const MIB = 1024 * 1024;
const LINE = /^\s+(?<id>[A-Za-z]+[A-Za-z0-9_]*): (?<name>.*) \((?<total>\d+) MiB, \d+ MiB free\)\s*$/;
/** Libraries that speed the processor up and devices of other machines are listed too, but are no accelerators here. */
const NOT_LOCAL_DEVICE = /^(BLAS|RPC|CPU)/;

/** The devices in what `llama-server --list-devices` prints, in its order. Memory is the total, in bytes. */
export function parseDeviceList(output: string): EngineDevice[] {
  const start = output.indexOf("Available devices:");
  if (start < 0) return [];
  const devices: EngineDevice[] = [];
  for (const line of output.slice(start).split("\n").slice(1)) {
    const { id, name, total } = LINE.exec(line)?.groups ?? {};
    if (id === undefined || name === undefined || total === undefined || NOT_LOCAL_DEVICE.test(id)) continue;
    devices.push({ id, name: name.trim(), memoryBytes: Number(total) * MIB });
  }
  return devices;
}
