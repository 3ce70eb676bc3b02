import { execFile } from "node:child_process";
import { open } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const TOOL_MS_MAX = 60_000;

/** Makes a file of `bytes` bytes that takes no room on the disk where nothing was written. */
export async function makeSparse(path: string, bytes: number): Promise<void> {
  {
    await using handle = await open(path, "a");
    // A file system of Windows keeps holes only in files that are marked for it.
    if (process.platform === "win32")
      await run("fsutil", ["sparse", "setflag", path], { timeout: TOOL_MS_MAX }).catch(() => undefined);
    await handle.truncate(bytes);
  }
}

/** Gives a range of a file back to the disk; it then reads as zeros. False where this system cannot do that in place. */
export async function punchHole(path: string, position: number, bytes: number): Promise<boolean> {
  const range = ["--offset", String(position), "--length", String(bytes)];
  const [tool, args] =
    process.platform === "linux"
      ? ["fallocate", ["--punch-hole", ...range, path]]
      : process.platform === "win32"
        ? ["fsutil", ["sparse", "setrange", path, String(position), String(bytes)]]
        : [null, []];
  if (tool === null) return false;
  return run(tool, args, { timeout: TOOL_MS_MAX }).then(
    () => true,
    () => false,
  );
}
