import { readdirSync, readFileSync } from "node:fs";

export interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly args: string;
}

/** All live processes (zombies are none). */
export function processes(): readonly Process[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, "utf8");
        const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        const args = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ").trim();
        return state === "Z" ? [] : [{ pid: Number(name), parent: Number(parent), args }];
      } catch {
        return [];
      }
    });
}

/** The engine processes that a daemon started. */
export function enginesOf(daemon: number): readonly Process[] {
  return processes().filter(
    (each) => each.parent === daemon && /(llama-server|rpc-server) /.test(each.args) && !each.args.includes("/bin/sh"),
  );
}

export function isAlive(pid: number): boolean {
  return processes().some((each) => each.pid === pid);
}

/** Open descriptors and resident memory of a process. */
export function usageOf(pid: number): { readonly descriptors: number; readonly residentBytes: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return {
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    residentBytes: Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) * 1024,
  };
}
