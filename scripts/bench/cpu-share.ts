import { existsSync } from "node:fs";
import { mkdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const PERIOD_US = 5_000;
const V1 = "/sys/fs/cgroup/cpu";
const V2 = "/sys/fs/cgroup";
const EMPTY_TRIES_MAX = 50;
const EMPTY_WAIT_MS = 50;

/**
 * Holds a process to a share of one core, so that on few cores several behave like machines of their own, only slower: what one does
 * costs the others nothing. Linux's control groups, as root.
 */
export async function limitCpu(pid: number, share: number): Promise<AsyncDisposable> {
  const isV1 = existsSync(join(V1, "cpu.cfs_quota_us"));
  const folder = join(isV1 ? V1 : V2, `clusterd-bench-${pid}`);
  const quotaUs = Math.round(PERIOD_US * share);
  await mkdir(folder);
  if (isV1) {
    await writeFile(join(folder, "cpu.cfs_period_us"), String(PERIOD_US));
    await writeFile(join(folder, "cpu.cfs_quota_us"), String(quotaUs));
  } else await writeFile(join(folder, "cpu.max"), `${quotaUs} ${PERIOD_US}`);
  await writeFile(join(folder, "cgroup.procs"), String(pid));
  return {
    async [Symbol.asyncDispose]() {
      // It can be removed once its process is gone.
      for (let tries = 0; tries < EMPTY_TRIES_MAX; tries += 1) {
        if ((await readFile(join(folder, "cgroup.procs"), "utf8")) === "") break;
        await sleep(EMPTY_WAIT_MS);
      }
      await rmdir(folder);
    },
  };
}
