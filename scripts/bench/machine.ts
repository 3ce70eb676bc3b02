import { cpus, totalmem } from "node:os";

/** The machine of a measurement in one line, without anything that changes from run to run. */
export function describeMachine(): string {
  const [first] = cpus();
  const memoryGiB = Math.round(totalmem() / 2 ** 30);
  return `${process.platform}-${process.arch}, ${cpus().length} × ${first?.model ?? "unknown CPU"}, ${memoryGiB} GiB, Node ${process.version}`;
}

/** The middle value. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : (high + (sorted[middle - 1] ?? Number.NaN)) / 2;
}
