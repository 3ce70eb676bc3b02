import { readFileSync } from "node:fs";

/** Processors' worth of time that a quota gives, from `cpu.cfs_quota_us` and `cpu.cfs_period_us` (version 1); null: no limit. */
export function parseQuotaV1(quota: string | null, period: string | null): number | null {
  return share(Number(quota?.trim() ?? NaN), Number(period?.trim() ?? NaN));
}

/** The same from `cpu.max` (version 2): `50000 100000`, or `max 100000`. */
export function parseQuotaV2(max: string | null): number | null {
  const [quota, period] = (max ?? "").trim().split(/\s+/);
  return share(Number(quota), Number(period));
}

function share(quota: number, period: number): number | null {
  return Number.isFinite(quota) && quota > 0 && period > 0 ? quota / period : null;
}

/** The folders of a process' group and of all above it, from `/proc/self/cgroup`: of version 1 the CPU controller's, of version 2. */
export function groupFolders(group: string): { readonly v1: readonly string[]; readonly v2: readonly string[] } {
  const v1 = /^\d+:(?:[^:]*,)?cpu(?:,[^:]*)?:(.*)$/m.exec(group)?.[1];
  const v2 = /^0::(.*)$/m.exec(group)?.[1];
  return {
    v1: v1 === undefined ? [] : withParents("/sys/fs/cgroup/cpu", v1),
    v2: v2 === undefined ? [] : withParents("/sys/fs/cgroup", v2),
  };
}

function withParents(root: string, path: string): readonly string[] {
  const names = path.split("/").filter((name) => name !== "" && name !== "..");
  return names.map((_, index) => [root, ...names.slice(0, names.length - index)].join("/")).concat(root);
}

/** Processors' worth of time this process and its children may use, the strictest limit of all groups above; null: no limit. */
export function cpuQuota(): number | null {
  if (process.platform !== "linux") return null;
  const { v1, v2 } = groupFolders(read("/proc/self/cgroup") ?? "");
  const limits = [
    ...v1.map((folder) => parseQuotaV1(read(`${folder}/cpu.cfs_quota_us`), read(`${folder}/cpu.cfs_period_us`))),
    ...v2.map((folder) => parseQuotaV2(read(`${folder}/cpu.max`))),
  ].filter((limit) => limit !== null);
  return limits.length === 0 ? null : Math.min(...limits);
}

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
