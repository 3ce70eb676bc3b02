import type { ChildProcess } from "node:child_process";

/**
 * Signals a child and all of its group. Windows has no groups and no request to end: there only SIGKILL acts, on the guard, whose
 * job object takes the program with it.
 */
export function signalGroup(child: ChildProcess, signal: "SIGTERM" | "SIGKILL"): void {
  if (child.pid === undefined) return;
  if (process.platform === "win32") {
    if (signal === "SIGKILL") child.kill(signal);
    return;
  }
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    // ESRCH: the group is gone; EPERM: on macOS the same, while its members wait to be reaped.
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== "ESRCH" && code !== "EPERM") throw error;
  }
}
