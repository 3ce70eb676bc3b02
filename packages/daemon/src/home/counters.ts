import { readIfPresent, writePrivateFile } from "./private-file.ts";
import type { HomePaths } from "./paths.ts";

/** The number of this start of the daemon: one more than any before, so that its adverts outrank all older ones. */
export async function nextIncarnation(paths: HomePaths): Promise<number> {
  let last = 0;
  const text = await readIfPresent(paths.counters);
  if (text !== null) {
    try {
      last = Number((JSON.parse(text) as { incarnation?: unknown }).incarnation) || 0;
    } catch {
      // A damaged counter must not go back: the seconds since 1970 outrank any number of restarts.
      last = Math.floor(Date.now() / 1000);
    }
  }
  const incarnation = last + 1;
  await writePrivateFile(paths.counters, `${JSON.stringify({ incarnation })}\n`);
  return incarnation;
}
