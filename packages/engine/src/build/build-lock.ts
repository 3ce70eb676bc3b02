import { open, readFile, rm, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { ClusterdError } from "@clusterd/wire";

/** Longer than any build that still moves. */
const WAIT_MS_MAX = 45 * 60_000;
const RETRY_MS = 250;
/** Another takes the lock away: that takes a moment. */
const BREAKING_MS = 10;

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

/** The pid that a lock file begins with; NaN where there is none yet. */
const pidIn = (content: string | null): number => Number.parseInt(content ?? "", 10);

/**
 * Takes away a lock whose holder is dead. One taker at a time may: of what nobody else can take away, only a dead holder's is gone, and never
 * the lock of who came after it.
 */
async function breakLock(file: string): Promise<void> {
  const breaking = `${file}.breaking`;
  try {
    await writeFile(breaking, `${process.pid}`, { flag: "wx" });
  } catch {
    const pid = pidIn(await readFile(breaking, "utf8").catch(() => null));
    // Of one that died in between.
    if (!Number.isNaN(pid) && !isAlive(pid)) await rm(breaking, { force: true });
    await sleep(BREAKING_MS);
    return;
  }
  try {
    const pid = pidIn(await readFile(file, "utf8").catch(() => null));
    if (!Number.isNaN(pid) && !isAlive(pid)) await rm(file, { force: true });
  } finally {
    await rm(breaking, { force: true });
  }
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
    const pid = pidIn(content);
    // An empty file is one that is being written this moment, unless it stays so.
    if (content !== null && !Number.isNaN(pid) && !isAlive(pid)) {
      await breakLock(file);
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
