import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { takeBuildLock } from "../build/build-lock.ts";
import { engineCacheFolder } from "../build/cache-folder.ts";
import type { Engine } from "../build/engine.ts";
import { cpuQuota, type CpuQuota } from "./cpu-quota.ts";
import { keepProbe, keptProbe, type KeptSpeed } from "./probe-cache.ts";
import { runProbe } from "./run-probe.ts";

/** Daemons of one machine take turns; one that waits longer than this measures all the same. */
const TURN_MS_MAX = 60_000;

export interface MeasureOptions {
  readonly engine: Pick<Engine, "rpcServer" | "fingerprint" | "devices">;
  /** For people; part of what a result is kept under. */
  readonly chip: string;
  /** As the workers will have. */
  readonly threads: number;
  readonly memoryBytes: number;
  readonly confirm?: boolean;
  readonly cacheFolder?: string;
  readonly signal: AbortSignal;
}

/** Whether control groups give this process fewer processors than so many threads would use, or may do so. */
export function isThrottled(threads: number, quota: CpuQuota = cpuQuota()): boolean {
  return quota === "hidden" || (quota !== null && quota < threads);
}

/** What a machine's speed depends on: its chip, the engine, the threads, and the processor time its control group allows. */
export function speedKey(options: Pick<MeasureOptions, "engine" | "chip" | "threads">, quota: CpuQuota = cpuQuota()): string {
  const limited = !isThrottled(options.threads, quota) ? "free" : typeof quota === "number" ? quota.toFixed(2) : "hidden";
  return [options.engine.fingerprint, options.chip, options.threads, limited].join("/");
}

/** One device's speed; `confirmed`: measured twice, at different times. */
export type MeasuredSpeed = KeptSpeed;

/**
 * How fast the engine reads and computes on each of its accelerators, or on the processor where it has none; null where that cannot be
 * told. A first measurement takes a second for each, more under a CPU quota; later ones of the same machine, engine, threads and quota
 * are read from the engine's cache. A busy machine measures too little: with `confirm` a speed that was measured only once is measured
 * again, and the better of the two kept. Under a quota that is hidden nothing is kept: the next start may have another.
 */
export async function measureDevices(options: MeasureOptions): Promise<readonly (MeasuredSpeed | null)[]> {
  const { engine, threads, signal, memoryBytes, confirm = false, cacheFolder = engineCacheFolder() } = options;
  const quota = cpuQuota();
  const throttled = isThrottled(threads, quota);
  const file = join(cacheFolder, "probes.json");
  const devices = engine.devices.length === 0 ? [null] : engine.devices.map(({ id }) => id);
  const found: (MeasuredSpeed | null)[] = [];
  for (const deviceId of devices) found.push(await speedOf(`${speedKey(options, quota)}/${deviceId ?? "CPU"}`, deviceId));
  return found;

  async function speedOf(key: string, deviceId: string | null): Promise<MeasuredSpeed | null> {
    const known = quota === "hidden" ? null : await keptProbe(file, key, Date.now());
    if (known !== null && (known.confirmed || !confirm)) return known;
    await mkdir(cacheFolder, { recursive: true });
    await using _turn = await takeBuildLock(`${file}.lock`, { signal, waitMsMax: TURN_MS_MAX }).catch(() => undefined);
    signal.throwIfAborted();
    const meanwhile = quota === "hidden" ? null : await keptProbe(file, key, Date.now());
    if (meanwhile !== null && (meanwhile.confirmed || !confirm)) return meanwhile;
    const measured = await runProbe({ engine, deviceId, threads, memoryBytes, throttled, signal });
    if (measured === null) return meanwhile;
    const speed = {
      bytesPerSecond: Math.max(measured.bytesPerSecond, meanwhile?.bytesPerSecond ?? 0),
      flopsPerSecond: Math.max(measured.flopsPerSecond, meanwhile?.flopsPerSecond ?? 0),
      confirmed: meanwhile !== null || quota === "hidden",
    };
    if (quota === "hidden") return speed;
    // Where it cannot be kept it is measured at the next start.
    await keepProbe(file, key, speed, Date.now()).catch(() => undefined);
    return speed;
  }
}
