import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { BandwidthSource } from "@clusterd/wire";

/** The latest predictions that are kept. */
const ENTRIES_MAX = 200;

/** A prediction and what came of it. Tokens per second of one stream, what was guessed ahead not counted. */
export interface PredictionEntry {
  /** Of the deployment's run: `ID/EPOCH`. */
  readonly run: string;
  readonly at: string;
  readonly model: string;
  readonly context: number;
  readonly stages: readonly { readonly node: string; readonly layers: number; readonly source: BandwidthSource | null }[];
  readonly predicted: number;
  readonly low: number;
  readonly high: number;
  readonly measured: number;
  /** measured ÷ predicted − 1. */
  readonly error: number;
}

/** Keeps the latest predictions beside their outcome in a file, the newest entry of a run replacing its older one. */
export interface PredictionLog {
  record(entry: PredictionEntry): void;
  /** Settles once all that was recorded is on disk. */
  flushed(): Promise<void>;
}

export function createPredictionLog(file: string, onTrouble: (message: string) => void): PredictionLog {
  let entries: readonly PredictionEntry[] | null = null;
  let writing: Promise<void> = Promise.resolve();
  let queued = false;
  const waiting = new Map<string, PredictionEntry>();

  async function write(): Promise<void> {
    queued = false;
    entries ??= await readEntries(file);
    const news = [...waiting.values()];
    waiting.clear();
    entries = [...entries.filter((old) => !news.some((entry) => entry.run === old.run)), ...news].slice(-ENTRIES_MAX);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(`${file}.tmp`, `${JSON.stringify(entries, null, 1)}\n`);
    await rename(`${file}.tmp`, file);
  }

  return {
    record(entry) {
      waiting.set(entry.run, entry);
      if (queued) return;
      queued = true;
      writing = writing.then(write).catch((error: unknown) => {
        onTrouble(`the record of predictions cannot be kept: ${error instanceof Error ? error.message : String(error)}`);
      });
    },
    flushed: () => writing,
  };
}

async function readEntries(file: string): Promise<readonly PredictionEntry[]> {
  try {
    const kept = JSON.parse(await readFile(file, "utf8")) as unknown;
    return Array.isArray(kept) ? (kept as PredictionEntry[]).filter((entry) => typeof entry?.run === "string") : [];
  } catch {
    // None yet, or a damaged one: begun anew.
    return [];
  }
}
