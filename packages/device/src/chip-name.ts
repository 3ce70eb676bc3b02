import { readFileSync } from "node:fs";
import { cpus } from "node:os";

/** The machine's chip for people and for the bandwidth table: a Raspberry Pi by its board, others by the processor's name. */
export function chipName(): string {
  if (process.platform === "linux") {
    try {
      const board = readFileSync("/proc/device-tree/model", "utf8").replaceAll("\0", "");
      if (board.includes("Raspberry Pi")) return board.trim();
    } catch {
      // Not a board with a device tree.
    }
  }
  const model = cpus()[0]?.model ?? "unknown";
  return model
    .replace(/\((R|TM|C)\)/gi, "")
    .replace(/\s+/g, " ")
    .trim();
}
