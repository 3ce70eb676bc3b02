import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { freemem, totalmem } from "node:os";
import { parseMeminfo, parseVmStat, withinGroup, type Memory } from "./memory.ts";

export const COMMAND_MS_MAX = 2_000;

/** This machine's memory now; in a container or a limited control group that group's. */
export function readMemory(): Memory {
  if (process.platform === "linux") return readLinuxMemory();
  if (process.platform === "darwin") {
    try {
      return {
        totalBytes: totalmem(),
        freeBytes: parseVmStat(execFileSync("vm_stat", { encoding: "utf8", timeout: COMMAND_MS_MAX })),
      };
    } catch {
      // Without vm_stat the system's own, lower figure serves.
    }
  }
  return { totalBytes: totalmem(), freeBytes: freemem() };
}

function readLinuxMemory(): Memory {
  let memory: Memory = { totalBytes: totalmem(), freeBytes: freemem() };
  const meminfo = read("/proc/meminfo");
  if (meminfo !== null) memory = parseMeminfo(meminfo);
  const group = read("/proc/self/cgroup") ?? "";
  const v1 = /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m.exec(group)?.[1];
  const v2 = /^0::(.*)$/m.exec(group)?.[1];
  for (const path of v1 === undefined ? [] : groupAndParents("/sys/fs/cgroup/memory", v1)) {
    memory = withinGroup(memory, read(`${path}/memory.limit_in_bytes`), read(`${path}/memory.usage_in_bytes`));
  }
  for (const path of v2 === undefined ? [] : groupAndParents("/sys/fs/cgroup", v2)) {
    memory = withinGroup(memory, read(`${path}/memory.max`), read(`${path}/memory.current`));
  }
  return memory;
}

/** A limit on any group above counts as well. */
function groupAndParents(root: string, group: string): readonly string[] {
  const names = group.split("/").filter((name) => name !== "" && name !== "..");
  return names.map((_, index) => [root, ...names.slice(0, names.length - index)].join("/")).concat(root);
}

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
