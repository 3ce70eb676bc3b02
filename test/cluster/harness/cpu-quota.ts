import { mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Host } from "./hosts.ts";

const ROOT = "/sys/fs/cgroup/cpu";
/** Short, so that a slow processor is slow evenly, not fast and then stopped: a token takes longer than a few periods. */
const PERIOD_US = 5_000;

/** A host whose processes together get so much of one core, 1 being all of it: a control group of version 1. Root only. */
export function withCpuQuota(host: Host, cores: number): Host & Disposable {
  const group = join(ROOT, `clt${process.pid}-${host.name}`);
  mkdirSync(group, { recursive: true });
  writeFileSync(join(group, "cpu.cfs_period_us"), String(PERIOD_US));
  writeFileSync(join(group, "cpu.cfs_quota_us"), String(Math.round(PERIOD_US * cores)));
  return {
    ...host,
    // The shell enters the group, and becomes the command in it.
    wrap(command, args) {
      const script = `echo $$ > ${group}/cgroup.procs && exec "$@"`;
      const [outer, words] = host.wrap(command, args);
      return ["sh", ["-c", script, "sh", outer, ...words]];
    },
    [Symbol.dispose]() {
      try {
        rmdirSync(group);
      } catch {
        // A process of it still ends: the empty group does no harm.
      }
    },
  };
}
