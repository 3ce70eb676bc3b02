import type { NodeId } from "@clusterd/wire";
import { readIfPresent, writePrivateFile } from "./private-file.ts";
import { homePaths } from "./paths.ts";

/** How the CLI finds the daemon of a home. */
export interface DaemonRecord {
  readonly pid: number;
  readonly api: string;
  readonly apiKey: string | null;
  readonly node: NodeId;
  readonly startedAt: string;
}

/** The record of the daemon last started for this home, or null. The daemon may have ended since. */
export async function readDaemonRecord(home: string): Promise<DaemonRecord | null> {
  const text = await readIfPresent(homePaths(home).daemon);
  if (text === null) return null;
  try {
    const record = JSON.parse(text) as Partial<DaemonRecord>;
    if (typeof record.pid !== "number" || typeof record.api !== "string" || typeof record.node !== "string") return null;
    return {
      pid: record.pid,
      api: record.api,
      apiKey: record.apiKey ?? null,
      node: record.node,
      startedAt: String(record.startedAt),
    };
  } catch {
    return null;
  }
}

export async function writeDaemonRecord(home: string, record: DaemonRecord): Promise<void> {
  await writePrivateFile(homePaths(home).daemon, `${JSON.stringify(record, null, 2)}\n`);
}
