import { readDaemonRecord } from "@clusterd/daemon/home";
import { createClient, type Client } from "./client.ts";
import { notRunning } from "./not-running.ts";

/** A client of the daemon that runs for this home. Throws `not_running` where none does. */
export async function findDaemon(home: string, signal: AbortSignal): Promise<Client> {
  const record = await readDaemonRecord(home);
  if (record === null || !isAlive(record.pid)) throw notRunning(home);
  return createClient({ home, api: record.api, apiKey: record.apiKey, signal });
}

/** After a crash another home's daemon may have the port: the process that wrote the record must still be there. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
