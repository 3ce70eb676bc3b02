import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { ClusterdError, asClusterdError } from "@clusterd/wire";
import { checkDiskRoom } from "./disk-room.ts";
import type { RangeSource } from "./hub-source.ts";
import { openPartFile, type PartFile } from "./part-file.ts";
import {
  CHUNK_BYTES,
  CHUNK_TRIES_MAX,
  CONNECTIONS,
  FILE_BYTES_MAX,
  FIRST_PAUSE_MS,
  PAUSE_MS_MAX,
  RECORD_MS,
} from "./pull-limits.ts";

export interface DownloadOptions {
  readonly source: RangeSource;
  /** The final path; beside it `.part` and `.part.json` while it is not whole. */
  readonly target: string;
  readonly fileBytes: number;
  /** Of the whole file, hex; null where nobody tells it: the size is then all that is checked. */
  readonly sha256: string | null;
  readonly signal: AbortSignal;
  /** Told bytes that have come, those of earlier tries included, and `verifying` while they are read again. */
  readonly onProgress: (doneBytes: number, step: "fetching" | "verifying") => void;
  readonly chunkBytes?: number;
  readonly connections?: number;
  readonly firstPauseMs?: number;
  readonly recordMs?: number;
}

/** Answered with the whole file where a part was asked for. */
class WholeAnswer extends Error {}

/**
 * Fetches a file by ranges, several at a time, and goes on where an earlier try has stopped, wherever that was. The final name appears
 * only on bytes that have been verified. Throws `does_not_fit` (disk), `model_broken` (wrong bytes, twice), or the source's error.
 */
export async function downloadFile(options: DownloadOptions): Promise<{ readonly sha256: string }> {
  const { target, fileBytes, sha256, signal } = options;
  if (fileBytes > FILE_BYTES_MAX) throw new ClusterdError("usage", `${basename(target)} is said to have ${fileBytes} bytes.`);
  await mkdir(dirname(target), { recursive: true });
  await using part = await openPartFile(target, sha256 ?? options.source.name, fileBytes, options.chunkBytes ?? CHUNK_BYTES);
  await checkDiskRoom(dirname(target), fileBytes - part.ledger.doneBytes, basename(target));
  for (let tries = 1; ; tries++) {
    await fetchMissing(part, options);
    const found = await digestOf(part, options, signal);
    if (sha256 === null || found === sha256) {
      await part.finish();
      return { sha256: found };
    }
    await part.startAgain();
    if (tries === 2)
      throw new ClusterdError(
        "model_broken",
        `${basename(target)} came from ${options.source.name} with other bytes than it says, twice.`,
        {
          next: "Nothing of it was kept. Try again later, or another copy of the model.",
          details: { expected: sha256, found },
        },
      );
  }
}

async function digestOf(part: PartFile, { onProgress }: DownloadOptions, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const piece of part.read(signal)) {
    hash.update(piece);
    onProgress((bytes += piece.length), "verifying");
  }
  return hash.digest("hex");
}

async function fetchMissing(part: PartFile, options: DownloadOptions): Promise<void> {
  const recorder = setInterval(() => void part.record().catch(() => undefined), options.recordMs ?? RECORD_MS);
  try {
    await inParts(part, options).catch(async (error: unknown) => {
      if (!(error instanceof WholeAnswer)) throw error;
      // No parts are served, or the file is another than when it was begun: what there is of it is no use.
      await part.startAgain();
      await asWhole(part, options);
    });
  } finally {
    clearInterval(recorder);
    // Also what came before a failure stays: its own failure is not the news.
    await part.record().catch(() => undefined);
  }
  await part.record();
}

async function inParts(part: PartFile, options: DownloadOptions): Promise<void> {
  const { ledger } = part;
  const queue = [...ledger.missing()];
  const failed = new AbortController();
  const signal = AbortSignal.any([options.signal, failed.signal]);
  let doneBytes = ledger.doneBytes;
  options.onProgress(doneBytes, "fetching");
  const came = (bytes: number): void => options.onProgress((doneBytes += bytes), "fetching");
  const worker = async (): Promise<void> => {
    for (let chunk = queue.shift(); chunk !== undefined; chunk = queue.shift()) {
      await oneChunk(part, chunk, { ...options, signal }, came);
      part.chunkWritten(chunk);
    }
  };
  const workers = Array.from({ length: Math.min(options.connections ?? CONNECTIONS, queue.length) }, worker);
  const settled = await Promise.allSettled(
    workers.map(async (work) => {
      try {
        await work;
      } catch (error) {
        failed.abort();
        throw error;
      }
    }),
  );
  options.signal.throwIfAborted();
  const reasons = settled.flatMap((result) => (result.status === "rejected" ? [result.reason as unknown] : []));
  // The others were only stopped.
  const cause = reasons.find((reason) => reason instanceof WholeAnswer || reason instanceof ClusterdError) ?? reasons[0];
  if (cause !== undefined) throw cause;
}

/** One range, tried again from where it broke off; a source that says when is waited for. */
async function oneChunk(part: PartFile, chunk: number, options: DownloadOptions, came: (bytes: number) => void): Promise<void> {
  const { source, signal, fileBytes } = options;
  const [first, last] = part.ledger.range(chunk);
  let position = first;
  for (let tries = 1; ; tries++) {
    const begun = position;
    try {
      const answer = await source.open([position, last], signal);
      if (answer.isWhole) throw new WholeAnswer();
      if (answer.fileBytes !== null && answer.fileBytes !== fileBytes)
        throw new ClusterdError(
          "model_broken",
          `${source.name} has the file in ${answer.fileBytes} bytes, not the ${fileBytes} it lists.`,
        );
      for await (const bytes of answer.bytes) {
        const taken = bytes.subarray(0, last + 1 - position);
        await part.write(taken, position);
        position += taken.length;
        came(taken.length);
        if (position > last) return;
      }
      throw new ClusterdError("timeout", `${source.name} hung up after ${position - begun} of ${last + 1 - begun} bytes.`);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof WholeAnswer || !mayPass(error)) throw error;
      // Whatever came is progress: only standing still uses up tries.
      if (position > begun) tries = 0;
      if (tries >= CHUNK_TRIES_MAX) throw error;
      await pause(pauseMs(error, tries, options.firstPauseMs ?? FIRST_PAUSE_MS), undefined, { signal });
    }
  }
}

/** The whole file in one go, from its start: all that a source without ranges can do. */
async function asWhole(part: PartFile, options: DownloadOptions): Promise<void> {
  const { source, signal, fileBytes, onProgress } = options;
  const { ledger } = part;
  for (let tries = 1; ; tries++) {
    let position = 0;
    let chunk = 0;
    try {
      const answer = await source.open([0, fileBytes - 1], signal);
      for await (const bytes of answer.bytes) {
        const taken = bytes.subarray(0, fileBytes - position);
        await part.write(taken, position);
        position += taken.length;
        onProgress(position, "fetching");
        while (chunk < ledger.count && position > ledger.range(chunk)[1]) part.chunkWritten(chunk++);
        if (position >= fileBytes) return;
      }
      throw new ClusterdError("timeout", `${source.name} hung up after ${position} of ${fileBytes} bytes.`);
    } catch (error) {
      signal.throwIfAborted();
      if (!mayPass(error) || tries >= CHUNK_TRIES_MAX) throw error;
      await pause(pauseMs(error, tries, options.firstPauseMs ?? FIRST_PAUSE_MS), undefined, { signal });
    }
  }
}

/** Whether it may go better the next time: not where one may not, where nothing is, or where the disk is full. */
function mayPass(error: unknown): boolean {
  const { code } = asClusterdError(error);
  return code === "timeout" || code === "failed";
}

function pauseMs(error: unknown, tries: number, firstMs: number): number {
  const told = asClusterdError(error).details?.["retryAfterSeconds"];
  if (typeof told === "number" && told >= 0) return Math.min(told * 1_000, PAUSE_MS_MAX);
  return Math.min(firstMs * 2 ** Math.max(0, tries - 1), PAUSE_MS_MAX);
}
