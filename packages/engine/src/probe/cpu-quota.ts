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

/** Processors' worth of time; null: no limit; hidden: there is a group, and its files cannot be seen from here. */
export type CpuQuota = number | null | "hidden";

/** What this process and its children may use: the strictest limit of its group and all above it. */
export function cpuQuota(): CpuQuota {
  return process.platform === "linux" ? quotaOf(read("/proc/self/cgroup") ?? "", read) : null;
}

/**
 * The same from the text of `/proc/self/cgroup` and a way to read files. A namespace may show the group's name without its folder (as
 * `ip netns exec` does, which mounts an empty `/sys`): then nothing is known, not even that there is no limit.
 */
export function quotaOf(group: string, readText: (path: string) => string | null): CpuQuota {
  const { v1, v2 } = groupFolders(group);
  const texts = [
    ...v1.map((folder) => [readText(`${folder}/cpu.cfs_quota_us`), readText(`${folder}/cpu.cfs_period_us`)] as const),
    ...v2.map((folder) => [readText(`${folder}/cpu.max`), null] as const),
  ];
  const limits = texts.flatMap(([limit, period]) => (period === null ? parseQuotaV2(limit) : parseQuotaV1(limit, period)) ?? []);
  if (limits.length > 0) return Math.min(...limits);
  // The root has no limit, and in version 2 no file for it.
  const isInGroup = v1.length > 1 || v2.length > 1;
  return isInGroup && texts.every(([limit]) => limit === null) ? "hidden" : null;
}

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
