import { execFile } from "node:child_process";
import { open, rename, rm } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const TOOL_MS_MAX = 60_000;
/** Copied at a time where a file is written anew. */
const PIECE_BYTES: number = 4 * 1024 * 1024;
/** Beside a file, while it is written anew. */
const REWRITTEN = ".rewritten";

/** Bytes of a file, from `position` on. */
export interface FileRange {
  readonly position: number;
  readonly bytes: number;
}

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

/** Ranges in their order, those that touch as one. */
export function joinRanges(ranges: readonly FileRange[]): readonly FileRange[] {
  const joined: { position: number; bytes: number }[] = [];
  for (const { position, bytes } of ranges.toSorted((a, b) => a.position - b.position)) {
    const last = joined.at(-1);
    if (last !== undefined && last.position + last.bytes >= position)
      last.bytes = Math.max(last.bytes, position + bytes - last.position);
    else joined.push({ position, bytes });
  }
  return joined;
}

/** Gives ranges of a file back to the disk; they then read as zeros. False where this system cannot do that in place. */
export async function punchHoles(path: string, ranges: readonly FileRange[]): Promise<boolean> {
  for (const { position, bytes } of joinRanges(ranges)) {
    const place = ["--offset", String(position), "--length", String(bytes)];
    const [tool, args] =
      process.platform === "linux"
        ? ["fallocate", ["--punch-hole", ...place, path]]
        : process.platform === "win32"
          ? ["fsutil", ["sparse", "setrange", path, String(position), String(bytes)]]
          : [null, []];
    if (tool === null) return false;
    // Without the tool, or on a file system that keeps no holes.
    const done = await run(tool, args, { timeout: TOOL_MS_MAX }).then(
      () => true,
      () => false,
    );
    if (!done) return false;
  }
  return true;
}

/**
 * The same where a system cannot punch holes (macOS has no tool for it): the file is written anew beside itself with `kept` alone, and put
 * in its own place at once. Whoever has the old one open goes on reading that. Throws where there is no room for what is kept.
 */
export async function rewriteSparse(path: string, fileBytes: number, kept: readonly FileRange[]): Promise<void> {
  const beside = `${path}${REWRITTEN}`;
  try {
    await rm(beside, { force: true });
    await makeSparse(beside, fileBytes);
    {
      await using from = await open(path, "r");
      await using to = await open(beside, "r+");
      const window = Buffer.allocUnsafe(PIECE_BYTES);
      for (const { position, bytes } of joinRanges(kept)) {
        for (let done = 0; done < bytes;) {
          const { bytesRead } = await from.read(window, 0, Math.min(PIECE_BYTES, bytes - done), position + done);
          if (bytesRead === 0) break;
          for (let at = 0; at < bytesRead;) at += (await to.write(window, at, bytesRead - at, position + done + at)).bytesWritten;
          done += bytesRead;
        }
      }
      await to.datasync();
    }
    await rename(beside, path);
  } finally {
    await rm(beside, { force: true });
  }
}

/** What a kill has left of {@link rewriteSparse}. */
export async function removeRewritten(path: string): Promise<void> {
  await rm(`${path}${REWRITTEN}`, { force: true });
}
