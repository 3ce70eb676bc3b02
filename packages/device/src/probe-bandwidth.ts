import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PROBE_MS_MAX = 5_000;
/** What is assumed where even the probe fails: the slowest machine anybody joins with. */
const FALLBACK_BYTES_PER_SECOND = 4e9;

/**
 * Memory bandwidth by a short probe in a process of its own (its memory is given back), kept per chip. It reads with one core: a machine
 * whose cores together read faster is better than it says, until decoding itself is measured.
 */
export async function probeBandwidth(chip: string, cacheDir: string, signal: AbortSignal): Promise<number> {
  const file = join(cacheDir, "bandwidth.json");
  try {
    const kept = JSON.parse(await readFile(file, "utf8")) as { chip?: unknown; bytesPerSecond?: unknown };
    if (kept.chip === chip && typeof kept.bytesPerSecond === "number" && kept.bytesPerSecond > 0) return kept.bytesPerSecond;
  } catch {
    // Not probed yet.
  }
  const script = fileURLToPath(new URL("./probe-process.ts", import.meta.url));
  const bytesPerSecond = await new Promise<number>((resolve) => {
    execFile(
      process.execPath,
      ["--no-warnings", script],
      { signal, timeout: PROBE_MS_MAX, killSignal: "SIGKILL" },
      (error, stdout) => {
        const figure = Number(stdout);
        resolve(error === null && figure > 0 ? figure : FALLBACK_BYTES_PER_SECOND);
      },
    );
  });
  signal.throwIfAborted();
  // A failed probe is tried again at the next start.
  if (bytesPerSecond !== FALLBACK_BYTES_PER_SECOND) {
    await mkdir(cacheDir, { recursive: true });
    await writeFile(file, JSON.stringify({ chip, bytesPerSecond }));
  }
  return bytesPerSecond;
}
