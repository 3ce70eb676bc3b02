import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { coresInCpuinfo, coresInSysctl } from "./cpu-cores.ts";

const THREADS_MAX = 512;
const SYSCTL_MS_MAX = 2_000;

/**
 * Threads for one engine process that has the machine for itself: the physical (on Apple silicon the performance) cores, less one
 * where there are more than two, so that the machine stays usable. llama.cpp's threads spin while they wait for each other: more of
 * them than free cores cost ten times the speed, so too few is the safe side. `CLUSTERD_THREADS` overrides.
 */
export function defaultThreads(): number {
  const set = Number(process.env["CLUSTERD_THREADS"]);
  if (Number.isInteger(set) && set >= 1 && set <= THREADS_MAX) return set;
  return threadsFor(physicalCores(), availableParallelism());
}

/** `cores` is 0 where they could not be told; `available` is what the system lets this process run on at once. */
export function threadsFor(cores: number, available: number): number {
  const usable = Math.min(cores > 0 ? cores : available, available);
  return Math.max(1, usable > 2 ? usable - 1 : usable);
}

function physicalCores(): number {
  try {
    switch (process.platform) {
      case "linux":
        return coresInCpuinfo(readFileSync("/proc/cpuinfo", "utf8"));
      case "darwin":
        return coresInSysctl(sysctl("hw.perflevel0.physicalcpu") || sysctl("hw.physicalcpu"));
      case "win32":
        return Math.floor(availableParallelism() / 2);
      default:
        return 0;
    }
  } catch {
    // Not told: the caller counts what the system offers.
    return 0;
  }
}

function sysctl(name: string): string {
  try {
    return execFileSync("/usr/sbin/sysctl", ["-n", name], {
      encoding: "utf8",
      timeout: SYSCTL_MS_MAX,
      stdio: ["ignore", "pipe", "ignore"],
    });
  } catch {
    // An Intel Mac does not know the first name.
    return "";
  }
}
