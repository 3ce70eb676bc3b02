import { spawn } from "node:child_process";
import { mkdirSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = "/sys/fs/cgroup/cpu";
/** The least that a control group of version 1 can be given: a thousandth of one core. */
const PERIOD_US = 1_000_000;
const QUOTA_US = 1_000;
/** They want all of it, always: what is starved shares it with them. */
const RIVALS = 4;

/** Whether processes can be starved here: control groups of version 1, and root. */
export function canStarve(): boolean {
  return process.getuid?.() === 0 && statSync(join(ROOT, "cpu.cfs_quota_us"), { throwIfNoEntry: false }) !== undefined;
}

let groups = 0;

/**
 * Leaves a process a five-thousandth of a core, as on a machine with thousands of busy programs, without any load on this one. It goes
 * on when this is disposed of.
 */
export function starve(pid: number): Disposable {
  groups += 1;
  const group = join(ROOT, `clt${process.pid}-starved${groups}`);
  mkdirSync(group);
  writeFileSync(join(group, "cpu.cfs_period_us"), String(PERIOD_US));
  writeFileSync(join(group, "cpu.cfs_quota_us"), String(QUOTA_US));
  const enter = (each: number): void => writeFileSync(join(group, "cgroup.procs"), String(each));
  const rivals = Array.from({ length: RIVALS }, () => spawn("sh", ["-c", "while :; do :; done"], { stdio: "ignore" }));
  for (const rival of rivals) enter(rival.pid ?? 0);
  enter(pid);
  return {
    [Symbol.dispose]() {
      for (const rival of rivals) rival.kill("SIGKILL");
      try {
        writeFileSync(join(ROOT, "cgroup.procs"), String(pid));
      } catch {
        // It has ended.
      }
      try {
        rmdirSync(group);
      } catch {
        // A process of it still ends: the empty group does no harm.
      }
    },
  };
}
