import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";

/** What the operating system says a process is doing. */
export interface ProcessActivity {
  /** All of it was stopped by a signal or a debugger: it does nothing until somebody lets it go on. */
  readonly stopped: boolean;
  /** One of its threads computes, or would if a processor were free. */
  readonly runnable: boolean;
  /** Processor time it has taken so far, ms. */
  readonly cpuMs: number;
}

/** So much processor time between two looks at a process, a second or more apart, is a sign of life; one that hangs may still take connections. */
export const LIVELY_CPU_MS = 20;

/** Linux counts processor time in hundredths of a second, whatever its kernel's own clock does (USER_HZ). */
const MS_PER_TICK = 10;
/** Threads of a process that are looked at; its own, and those that take requests, come first. */
const THREADS_MAX = 256;
const PS_MS_MAX = 5_000;
const STOPPED = new Set(["T", "t"]);

interface ThreadStat {
  readonly state: string;
  readonly cpuMs: number;
}

/**
 * A line of Linux's `/proc/PID/stat` or `/proc/PID/task/TID/stat` (proc_pid_stat(5)): the name stands in brackets and may hold anything,
 * the state is the first field after it, user and system time are the 12th and 13th. Null: not such a line.
 */
export function parseProcStat(text: string): ThreadStat | null {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state = "", ticks] = [fields[0], Number(fields[11]) + Number(fields[12])];
  return /^[A-Za-z]$/.test(state) && Number.isFinite(ticks) ? { state, cpuMs: ticks * MS_PER_TICK } : null;
}

/** From the whole process's line and its threads'. */
export function activityFromStat(whole: string, threads: readonly string[]): ProcessActivity | null {
  const all = parseProcStat(whole);
  if (all === null) return null;
  const states = threads.map((thread) => parseProcStat(thread)?.state ?? all.state);
  if (states.length === 0) states.push(all.state);
  return { stopped: states.every((state) => STOPPED.has(state)), runnable: states.includes("R"), cpuMs: all.cpuMs };
}

/** From what `ps -o stat=,time= -p PID` prints on macOS and the BSDs: `Ss+   1:02:03.45`. Null: nothing of the kind. */
export function activityFromPs(text: string): ProcessActivity | null {
  const match = /^\s*([A-Z])\S*\s+(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)(?:\.(\d+))?\s*$/.exec(text);
  if (match === null) return null;
  const [, state = "", days = "0", hours = "0", minutes = "0", seconds = "0", fraction = "0"] = match;
  const wholeSeconds = ((Number(days) * 24 + Number(hours)) * 60 + Number(minutes)) * 60 + Number(seconds);
  return { stopped: state === "T", runnable: state === "R", cpuMs: Math.round((wholeSeconds + Number(`0.${fraction}`)) * 1000) };
}

/** What a process of this machine is doing; null where it is gone, or this system does not tell. */
export async function processActivity(pid: number): Promise<ProcessActivity | null> {
  if (process.platform === "linux") return linuxActivity(pid).catch(() => null);
  return process.platform === "win32" ? null : psActivity(pid);
}

async function linuxActivity(pid: number): Promise<ProcessActivity | null> {
  const tasks = (await readdir(`/proc/${pid}/task`)).slice(0, THREADS_MAX);
  const read = (task: string): Promise<string> => readFile(`/proc/${pid}/task/${task}/stat`, "utf8").catch(() => "");
  const threads = await Promise.all(tasks.map(read));
  // A thread may end between the two looks.
  const there = threads.filter((thread) => thread !== "");
  return activityFromStat(await readFile(`/proc/${pid}/stat`, "utf8"), there);
}

function psActivity(pid: number): Promise<ProcessActivity | null> {
  return new Promise((resolve) => {
    execFile("ps", ["-o", "stat=,time=", "-p", String(pid)], { timeout: PS_MS_MAX }, (error, stdout) =>
      resolve(error === null ? activityFromPs(stdout) : null),
    );
  });
}
