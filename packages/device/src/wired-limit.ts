import { execFileSync } from "node:child_process";
import { COMMAND_MS_MAX } from "./read-memory.ts";

const MIB: number = 1024 * 1024;
/** macOS gives the GPU two thirds of a small machine's memory and three quarters of a larger one's, unless told otherwise. */
const LARGE_BYTES: number = 36 * 1024 ** 3;
const SHARE_SMALL = 2 / 3;
const SHARE_LARGE = 3 / 4;
/** An engine that says the GPU may take more than this was asked while the limit was raised. */
const SHARE_DEFAULT_MAX = 0.8;

/**
 * What the GPU of an Apple machine may take of the memory it shares with the processor, in bytes. `wiredLimitMb`: the setting, 0 where
 * none is set; null where the system does not know it. `saidBytes`: Metal's own word, from when the engine was asked.
 */
export function gpuLimit(totalBytes: number, wiredLimitMb: number | null, saidBytes: number): number {
  if (wiredLimitMb !== null && wiredLimitMb > 0) return Math.min(totalBytes, wiredLimitMb * MIB);
  if (saidBytes > 0 && saidBytes <= totalBytes * SHARE_DEFAULT_MAX) return saidBytes;
  return Math.floor(totalBytes * (totalBytes < LARGE_BYTES ? SHARE_SMALL : SHARE_LARGE));
}

/** What `sysctl -n iogpu.wired_limit_mb` prints; null where it is no figure. */
export function parseWiredLimit(text: string): number | null {
  return /^\s*\d+\s*$/.test(text) ? Number(text) : null;
}

/** The setting now; null where this system has none. */
export function readWiredLimit(): number | null {
  try {
    const args = ["-n", "iogpu.wired_limit_mb"];
    return parseWiredLimit(
      execFileSync("/usr/sbin/sysctl", args, { encoding: "utf8", timeout: COMMAND_MS_MAX, stdio: ["ignore", "pipe", "ignore"] }),
    );
  } catch {
    // Before macOS 14, and on Intel.
    return null;
  }
}

/** The setting that gives the GPU so many bytes. */
export const wiredLimitFor = (bytes: number): number => Math.floor(bytes / MIB);

/** What a person types to make it so, until the next start of the machine. */
export const raiseCommand = (wiredLimitMb: number): string => `sudo sysctl iogpu.wired_limit_mb=${wiredLimitMb}`;
