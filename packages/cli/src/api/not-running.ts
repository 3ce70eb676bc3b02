import { ClusterdError } from "@clusterd/wire";

/** The error of every command that needs a daemon and finds none. */
export function notRunning(home: string, cause?: unknown): ClusterdError {
  return new ClusterdError("not_running", `No clusterd daemon is running for ${home}.`, {
    next: "Start it with: clusterd join",
    ...(cause === undefined ? {} : { cause }),
  });
}
