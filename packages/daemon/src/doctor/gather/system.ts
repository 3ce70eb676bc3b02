import { statfs } from "node:fs/promises";
import { cpus } from "node:os";
import { dirname } from "node:path";
import { describeDevice, raiseCommand } from "@clusterd/device";
import type { ClockFacts, DiskFacts, FirewallFacts, LimitFacts, MemoryFacts, ProcessorFacts, RuntimeFacts } from "../facts.ts";
import { askSystem, readText } from "./ask-system.ts";

const SYSCTL = "/usr/sbin/sysctl";

export async function gatherRuntime(signal: AbortSignal): Promise<RuntimeFacts> {
  const { platform, arch, versions } = process;
  // Rosetta's word for "this process is translated".
  const translated =
    platform === "darwin" &&
    arch === "x64" &&
    (await askSystem(SYSCTL, ["-n", "sysctl.proc_translated"], signal))?.trim() === "1";
  return { platform, arch, node: versions.node, translated };
}

/** The abilities in `/proc/cpuinfo`, of x86 (`flags`) and Arm (`Features`). */
export function cpuinfoFlags(text: string): readonly string[] | null {
  const line = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(text)?.[1];
  return line === undefined ? null : line.trim().toLowerCase().split(/\s+/);
}

export async function gatherProcessor(signal: AbortSignal): Promise<ProcessorFacts> {
  const all = cpus();
  const shared = { model: all[0]?.model.trim() ?? "unknown", cores: all.length };
  if (process.platform === "linux") {
    const text = await readText("/proc/cpuinfo");
    return { ...shared, flags: text === null ? null : cpuinfoFlags(text) };
  }
  if (process.platform !== "darwin" || process.arch !== "x64") return { ...shared, flags: null };
  const text = await askSystem(SYSCTL, ["-n", "machdep.cpu.features", "machdep.cpu.leaf7_features"], signal);
  return { ...shared, flags: text === null ? null : text.trim().toLowerCase().split(/\s+/) };
}

/** As a daemon with these accelerators would count it. */
export async function gatherMemory(
  accelerators: readonly { readonly name: string; readonly memoryBytes: number }[],
): Promise<MemoryFacts> {
  const device = describeDevice({ memoryCapBytes: null, bandwidthBytesPerSecond: null, accelerators });
  const { memoryBytesTotal, memoryBytesFree, memoryBytesBudget, raisable } = device;
  // A card has memory of its own: what is free of the machine's says nothing of it.
  const shares = accelerators.length === 0 || device.platform === "darwin-arm64";
  return {
    totalBytes: memoryBytesTotal,
    freeBytes: shares ? memoryBytesFree : Math.max(memoryBytesFree, memoryBytesBudget),
    budgetBytes: memoryBytesBudget,
    raise: raisable == null ? null : { memoryBytes: raisable.memoryBytes, command: raiseCommand(raisable.wiredLimitMb) },
  };
}

/** Of the folder, or the nearest one above it that is there. */
export async function gatherDisk(folder: string): Promise<DiskFacts> {
  try {
    const { blocks, bavail, bsize } = await statfs(folder);
    return { path: folder, totalBytes: blocks * bsize, freeBytes: bavail * bsize };
  } catch (error) {
    if (dirname(folder) === folder) throw error;
    return gatherDisk(dirname(folder));
  }
}

/** The soft limits of `/proc/self/limits`. */
export function procLimits(text: string): LimitFacts {
  const limit = (name: string): number | null => {
    const value = new RegExp(`^${name}\\s+(\\d+|unlimited)`, "m").exec(text)?.[1];
    return value === undefined || value === "unlimited" ? null : Number(value);
  };
  return { openFiles: limit("Max open files"), processes: limit("Max processes"), addressSpaceBytes: limit("Max address space") };
}

export async function gatherLimits(signal: AbortSignal): Promise<LimitFacts> {
  const none: LimitFacts = { openFiles: null, processes: null, addressSpaceBytes: null };
  if (process.platform === "linux") {
    const text = await readText("/proc/self/limits");
    return text === null ? none : procLimits(text);
  }
  if (process.platform !== "darwin") return none;
  // Node raises its own soft limit to the hard one.
  const [files, processes] = await Promise.all(
    ["ulimit -Hn", "ulimit -u"].map(async (line) =>
      Number((await askSystem("/bin/sh", ["-c", line], signal))?.trim() ?? Number.NaN),
    ),
  );
  const known = (value: number | undefined): number | null => (value !== undefined && Number.isFinite(value) ? value : null);
  return { ...none, openFiles: known(files), processes: known(processes) };
}

export async function gatherClock(signal: AbortSignal): Promise<ClockFacts> {
  const nowMs = Date.now();
  if (process.platform !== "linux") return { nowMs, synchronised: null };
  const told = (await askSystem("timedatectl", ["show", "--property", "NTPSynchronized", "--value"], signal))?.trim();
  return { nowMs, synchronised: told === "yes" ? true : told === "no" ? false : null };
}

export async function gatherFirewall(othersSeen: boolean, signal: AbortSignal): Promise<FirewallFacts> {
  return { active: await activeFirewall(signal), othersSeen };
}

async function activeFirewall(signal: AbortSignal): Promise<FirewallFacts["active"]> {
  if (process.platform === "linux") {
    if (/^\s*ENABLED=yes/im.test((await readText("/etc/ufw/ufw.conf")) ?? "")) return "ufw";
    return (await askSystem("firewall-cmd", ["--state"], signal))?.trim() === "running" ? "firewalld" : null;
  }
  if (process.platform === "darwin") {
    const told = await askSystem("/usr/libexec/ApplicationFirewall/socketfilterfw", ["--getglobalstate"], signal);
    return told !== null && /enabled|State = [12]/i.test(told) ? "macOS" : null;
  }
  if (process.platform !== "win32") return null;
  const told = await askSystem("netsh", ["advfirewall", "show", "currentprofile", "state"], signal);
  // The word is the system's language's; ON and its like are not OFF.
  return told !== null && /\b(ON|EIN|ACTIVÉ|ACTIVAR)\b/i.test(told) ? "Windows" : null;
}
