/** Distinct cores in Linux's /proc/cpuinfo (two hyper-threads share one); 0 where it does not tell, as on arm64. */
export function coresInCpuinfo(text: string): number {
  const cores = new Set<string>();
  for (const processor of text.split(/\n\s*\n/)) {
    const socket = /^physical id\s*:\s*(\d+)/m.exec(processor)?.[1];
    const core = /^core id\s*:\s*(\d+)/m.exec(processor)?.[1];
    if (socket !== undefined && core !== undefined) cores.add(`${socket}/${core}`);
  }
  return cores.size;
}

/** Cores by macOS's `sysctl -n hw.perflevel0.physicalcpu`, or `hw.physicalcpu` on Intel; 0 where it does not tell. */
export function coresInSysctl(text: string): number {
  const first = Number(text.trim().split(/\s+/)[0]);
  return Number.isInteger(first) && first > 0 ? first : 0;
}
