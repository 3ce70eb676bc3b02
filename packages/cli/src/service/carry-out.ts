import { execFile } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { ClusterdError } from "@clusterd/wire";
import { printable } from "../text/printable.ts";
import type { ServiceManager, ServiceStatus, Step } from "./service-manager.ts";

const STEP_MS_MAX = 60_000;
const OUTPUT_BYTES_MAX: number = 1024 * 1024;

const INSTEAD = "Start the node from the system's own start-up instead: clusterd join --detach";
const AGAIN = "Its definition is gone; see what the system says about it, and clusterd service status.";

interface Outcome {
  readonly succeeded: boolean;
  readonly missing: boolean;
  readonly output: string;
  readonly complaint: string;
}

function run({ command: [program = "", ...args] }: Step, signal: AbortSignal): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(program, args, { signal, timeout: STEP_MS_MAX, maxBuffer: OUTPUT_BYTES_MAX }, (error, stdout, stderr) =>
      resolve({
        succeeded: error === null,
        missing: (error as NodeJS.ErrnoException | null)?.code === "ENOENT",
        output: stdout,
        complaint: stderr.trim() || (error?.message ?? ""),
      }),
    );
  });
}

/** Runs steps in order; throws `failed` at the first that fails and may not, with what to do `next`. Gives what the others' failures mean. */
async function runAll(steps: readonly Step[], next: string, signal: AbortSignal): Promise<readonly string[]> {
  const notes: string[] = [];
  for (const step of steps) {
    const outcome = await run(step, signal);
    signal.throwIfAborted();
    if (outcome.succeeded) continue;
    if (step.mayFail !== undefined) {
      if (step.mayFail !== null) notes.push(step.mayFail);
      continue;
    }
    const line = step.command.join(" ");
    throw new ClusterdError(
      "failed",
      outcome.missing ? `There is no ${step.command[0]} on this machine.` : `${line} failed: ${printable(outcome.complaint)}`,
      { next },
    );
  }
  return notes;
}

export async function statusOf(manager: ServiceManager, signal: AbortSignal): Promise<ServiceStatus> {
  const { succeeded, output } = await run(manager.query, signal);
  return manager.readStatus(output, succeeded);
}

/** Writes the definition and starts the service; where that fails, the definition is as it was before. Gives notes for the person. */
export async function installService(manager: ServiceManager, signal: AbortSignal): Promise<readonly string[]> {
  const before = await readFile(manager.file).catch(() => null);
  await mkdir(dirname(manager.file), { recursive: true });
  await writeFile(manager.file, manager.content, { encoding: manager.encoding, mode: 0o644 });
  try {
    return [...(await runAll(manager.install, INSTEAD, signal)), ...manager.notes];
  } catch (error) {
    if (before === null) await rm(manager.file, { force: true });
    else await writeFile(manager.file, before);
    throw error;
  }
}

/** Ends the service and removes its definition. The node's home stays. */
export async function uninstallService(manager: ServiceManager, signal: AbortSignal): Promise<void> {
  await runAll(manager.uninstall.before, AGAIN, signal);
  await rm(manager.file, { force: true });
  await runAll(manager.uninstall.after, AGAIN, signal);
}
