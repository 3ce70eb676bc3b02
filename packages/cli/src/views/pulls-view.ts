import { formatBytes } from "@clusterd/daemon/format";
import type { ClusterState, PullView } from "@clusterd/wire";
import { bar, percent } from "../text/bar.ts";
import { printable } from "../text/printable.ts";
import { seconds } from "../text/rate.ts";

const BAR_CELLS = 16;

/** How far one pull is. */
export function pullLine({ ref, step, doneBytes, totalBytes, bytesPerSecond, secondsLeft }: PullView): string {
  if (totalBytes === 0) return `${printable(ref)}  asking the hub`;
  const share = doneBytes / totalBytes;
  const far = `${bar(share, BAR_CELLS)} ${percent(share)}  ${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`;
  if (step === "verifying") return `${printable(ref)}  ${far}  verifying`;
  const left = secondsLeft === null ? "" : `, ${seconds(secondsLeft * 1000)} left`;
  return `${printable(ref)}  ${far}  ${formatBytes(bytesPerSecond)}/s${left}`;
}

export function pullsLines({ pulls = [] }: ClusterState): string[] {
  return pulls.length === 0 ? [] : ["Fetching", ...pulls.map((view) => `  ${pullLine(view)}`)];
}
