import { access } from "node:fs/promises";
import { dirname, join } from "node:path";
import { runCommand } from "../build/command.ts";
import { childEnvironment } from "../process/child-environment.ts";

/** What one device does: bytes of weights read per second while decoding, floating-point operations per second on a prompt. */
export interface ProbedSpeed {
  readonly bytesPerSecond: number;
  readonly flopsPerSecond: number;
}

export interface ProbeOptions {
  /** Beside its programs lies the probe. */
  readonly engine: { readonly rpcServer: string };
  /** As in `--device`; null: the CPU. */
  readonly deviceId: string | null;
  readonly threads: number;
  /** The machine's memory, of which the probe takes a small part. */
  readonly memoryBytes: number;
  /** Whether the process group may not use all processors all the time: what counts then is what it does on average. */
  readonly throttled: boolean;
  readonly signal: AbortSignal;
}

const MIB: number = 1024 * 1024;
/** More than the caches of all but the largest servers hold. */
const WEIGHTS_MIB_MAX = 256;
/** A throttled process would take too long to fill so much. */
const WEIGHTS_MIB_MAX_THROTTLED = 64;
const WEIGHTS_MIB_MIN = 16;
const MEMORY_SHARE = 1 / 16;
const DECODE_MS = 300;
/** Many of the quota's periods (100 ms mostly): where in one it begins and ends must not matter. */
const DECODE_MS_THROTTLED = 1_000;
/** It takes a second; a GPU's driver may take its time when it is asked first. */
const PROBE_MS_MAX = 30_000;
/** Slower or faster than any machine is a mistake of the measurement. */
const BYTES_PER_SECOND: readonly [number, number] = [10e6, 20e12];
const FLOPS_PER_SECOND: readonly [number, number] = [10e6, 10e15];

/** The probe's command line. */
export function probeArguments(options: Omit<ProbeOptions, "engine" | "signal">): readonly string[] {
  const { deviceId, threads, memoryBytes, throttled } = options;
  const most = throttled ? WEIGHTS_MIB_MAX_THROTTLED : WEIGHTS_MIB_MAX;
  const weights = Math.max(WEIGHTS_MIB_MIN, Math.min(most, Math.floor((memoryBytes * MEMORY_SHARE) / MIB)));
  return [deviceId ?? "CPU", String(threads), String(weights), String(throttled ? DECODE_MS_THROTTLED : DECODE_MS)];
}

/** What the probe's output says; null where it says nothing plausible. The engine's libraries talk before it. */
export function parseProbe(output: string, throttled: boolean): ProbedSpeed | null {
  const line = output.split("\n").find((text) => text.startsWith("{"));
  if (line === undefined) return null;
  let found: Record<string, Record<string, unknown> | undefined>;
  try {
    found = JSON.parse(line) as typeof found;
  } catch {
    return null;
  }
  const figure = (name: string, [least, most]: readonly [number, number]): number | null => {
    const value = found[name]?.[throttled ? "mean" : "fast"];
    return typeof value === "number" && value >= least && value <= most ? Math.round(value) : null;
  };
  const bytesPerSecond = figure("bytesPerSecond", BYTES_PER_SECOND);
  const flopsPerSecond = figure("flopsPerSecond", FLOPS_PER_SECOND);
  return bytesPerSecond === null || flopsPerSecond === null ? null : { bytesPerSecond, flopsPerSecond };
}

/** Runs the probe in a process of its own; null where this engine has none (one we did not build), or it failed. */
export async function runProbe(options: ProbeOptions): Promise<ProbedSpeed | null> {
  const { rpcServer } = options.engine;
  const program = join(dirname(rpcServer), `ggml-probe${rpcServer.endsWith(".exe") ? ".exe" : ""}`);
  try {
    await access(program);
    const env = childEnvironment({ GGML_NO_BACKTRACE: "1" });
    const result = await runCommand(program, probeArguments(options), { signal: options.signal, timeoutMs: PROBE_MS_MAX, env });
    return result.code === 0 ? parseProbe(result.output, options.throttled) : null;
  } catch {
    // A machine that cannot be probed is known by the table, and by what decoding shows.
    options.signal.throwIfAborted();
    return null;
  }
}
