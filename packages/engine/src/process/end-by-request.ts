import type { ChildProcess } from "node:child_process";
import { signalGroup } from "./signal-group.ts";

export interface EndRequest {
  /** What the program takes on its standard input as a request to end, where it has such a word. */
  readonly exitCommand: string | null;
  /** 0: SIGKILL at once. */
  readonly graceMs: number;
}

/** Asks a program to end (its own word, SIGTERM to the group), and kills the group when the grace is over. */
export async function endByRequest(child: ChildProcess, request: EndRequest, ended: Promise<unknown>): Promise<void> {
  if (request.graceMs > 0) {
    if (request.exitCommand !== null) child.stdin?.write(`${request.exitCommand}\n`);
    signalGroup(child, "SIGTERM");
    const { promise: graceOver, resolve } = Promise.withResolvers<"over">();
    const timer = setTimeout(() => resolve("over"), request.graceMs);
    const outcome = await Promise.race([ended, graceOver]);
    clearTimeout(timer);
    if (outcome !== "over") return;
  }
  signalGroup(child, "SIGKILL");
  await ended;
}
