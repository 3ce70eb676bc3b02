import { execFile } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { ClusterdError } from "@clusterd/wire";
import { printable } from "../text/printable.ts";
import type { ServiceManager, ServiceStatus, Step } from "./service-manager.ts";

const STEP_MS_MAX = 60_000;
const OUTPUT_BYTES_MAX: number = 1024 * 1024;

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

/** Runs steps in order; throws `failed` at the first that fails and may not. Gives what the others' failures mean. */
async function runAll(steps: readonly Step[], signal: AbortSignal): Promise<readonly string[]> {
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
      { next: "Start the node from the system's own start-up instead: clusterd join --detach" },
    );
  }
  return notes;
}

export async function statusOf(manager: ServiceManager, signal: AbortSignal): Promise<ServiceStatus> {
  const { succeeded, output } = await run(manager.query, signal);
  return manager.readStatus(output, succeeded);
}

/** Writes the definition and starts the service; what cannot be started leaves no definition behind. Gives notes for the person. */
export async function installService(manager: ServiceManager, signal: AbortSignal): Promise<readonly string[]> {
  await mkdir(dirname(manager.file), { recursive: true });
  await writeFile(manager.file, manager.content, { encoding: manager.encoding, mode: 0o644 });
  try {
    return [...(await runAll(manager.install, signal)), ...manager.notes];
  } catch (error) {
    await rm(manager.file, { force: true });
    throw error;
  }
}

/** Ends the service and removes its definition. The node's home stays. */
export async function uninstallService(manager: ServiceManager, signal: AbortSignal): Promise<void> {
  await runAll(manager.uninstall.before, signal);
  await rm(manager.file, { force: true });
  await runAll(manager.uninstall.after, signal);
}
