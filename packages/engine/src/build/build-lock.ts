import { open, readFile, rename, rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { ClusterdError } from "@clusterd/wire";

/** Longer than any build that still moves. */
const WAIT_MS_MAX = 45 * 60_000;
const RETRY_MS = 250;

export interface BuildLockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called once where somebody else holds the lock. */
  readonly onWait?: (pid: number) => void;
  readonly waitMsMax?: number;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Takes away a lock whose holder is dead. Another process may do the same at once, and even hold a new lock by then. */
async function breakLock(file: string, content: string): Promise<void> {
  // Of one taker alone: several wait within one process, too.
  const aside = `${file}.${crypto.randomUUID()}.stale`;
  try {
    await rename(file, aside);
  } catch {
    return;
  }
  if ((await readFile(aside, "utf8").catch(() => "")) !== content) await rename(aside, file);
  else await rm(aside, { force: true });
}

/** Holds a lock file until disposed of; waits for a living holder within a limit, takes over from a dead one. */
export async function takeBuildLock(file: string, options: BuildLockOptions = {}): Promise<AsyncDisposable> {
  const mine = `${process.pid} ${crypto.randomUUID()}`;
  const deadline = performance.now() + (options.waitMsMax ?? WAIT_MS_MAX);
  let told = false;
  for (;;) {
    options.signal?.throwIfAborted();
    try {
      const handle = await open(file, "wx");
      await handle.writeFile(mine);
      await handle.close();
      return {
        [Symbol.asyncDispose]: async () => {
          if ((await readFile(file, "utf8").catch(() => "")) === mine) await rm(file, { force: true });
        },
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const content = await readFile(file, "utf8").catch(() => null);
    const pid = Number.parseInt(content ?? "", 10);
    // An empty file is one that is being written this moment, unless it stays so.
    if (content !== null && !Number.isNaN(pid) && !isAlive(pid)) {
      await breakLock(file, content);
      continue;
    }
    if (performance.now() > deadline) {
      throw new ClusterdError(
        "timeout",
        `Another process (${Number.isNaN(pid) ? "unknown" : pid}) has been building the engine for too long.`,
        {
          next: `End it, or remove ${file} where it is no process of clusterd, and try again.`,
        },
      );
    }
    if (!told) options.onWait?.(pid);
    told = true;
    await sleep(RETRY_MS, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
}
