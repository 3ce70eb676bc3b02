import { availableParallelism } from "node:os";
import { readFileSync } from "node:fs";

/** Distinct cores in /proc/cpuinfo: hyper-threads share one, and decoding is bound by memory, not by them. */
export function physicalCores(cpuinfo: string): number {
  const cores = new Set<string>();
  for (const block of cpuinfo.split("\n\n")) {
    const physical = /^physical id\s*:\s*(\d+)/m.exec(block)?.[1];
    const core = /^core id\s*:\s*(\d+)/m.exec(block)?.[1];
    if (physical !== undefined && core !== undefined) cores.add(`${physical}/${core}`);
  }
  return cores.size;
}

/**
 * Threads for one engine process: the physical cores, one left free where there are more than two. More threads than free cores make
 * llama.cpp's spinning barrier collapse, so fewer is the safe side. `CLUSTERD_THREADS` overrides.
 */
export function defaultThreads(): number {
  const set = Number(process.env["CLUSTERD_THREADS"]);
  if (Number.isInteger(set) && set > 0) return set;
  let cores = 0;
  if (process.platform === "linux") {
    try {
      cores = physicalCores(readFileSync("/proc/cpuinfo", "utf8"));
    } catch {
      // No such file: counted below.
    }
  }
  const usable = Math.min(cores > 0 ? cores : availableParallelism(), availableParallelism());
  return usable > 2 ? usable - 1 : Math.max(1, usable);
}
