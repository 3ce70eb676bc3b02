import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CHECKOUT_CACHE } from "./paths.mjs";
import { SetupFailure } from "./failure.mjs";

const FILE = join(CHECKOUT_CACHE, "setup.lock");
const RETRY_MS = 200;
const WAIT_MS_MAX = 45 * 60_000;

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

function holder() {
  try {
    return Number.parseInt(readFileSync(FILE, "utf8"), 10);
  } catch {
    return null;
  }
}

/** Only one set-up per checkout works at a time. Returns the function that lets go. */
export async function takeLock(onWait) {
  mkdirSync(CHECKOUT_CACHE, { recursive: true });
  const deadline = performance.now() + WAIT_MS_MAX;
  for (let told = false; ; told = true) {
    try {
      writeFileSync(FILE, String(process.pid), { flag: "wx" });
      return () => rmSync(FILE, { force: true });
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    const pid = holder();
    if (pid !== null && !Number.isNaN(pid) && !isAlive(pid)) {
      rmSync(FILE, { force: true });
      continue;
    }
    if (performance.now() > deadline)
      throw new SetupFailure(`Another set-up (process ${pid}) does not end.`, `End it, or remove ${FILE}.`);
    if (!told) onWait(pid);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}
