import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { ClusterdError } from "@clusterd/wire";
import { makeFolder } from "./disk-error.ts";
import { checkDiskRoom } from "./disk-room.ts";
import { fetchMissing } from "./fetch-chunks.ts";
import type { RangeSource } from "./hub-source.ts";
import { shareByTarget } from "./one-download.ts";
import { openPartFile, type PartFile } from "./part-file.ts";
import { CHUNK_BYTES, FETCHES_MAX, FILE_BYTES_MAX } from "./pull-limits.ts";

export interface DownloadOptions {
  readonly source: RangeSource;
  /** The final path; beside it `.part` and `.part.json` while it is not whole. */
  readonly target: string;
  readonly fileBytes: number;
  /** Of the whole file, hex; null where the listing does not tell it: what the source says while it sends is then taken, else the size. */
  readonly sha256: string | null;
  readonly signal: AbortSignal;
  /** Told bytes that have come, those of earlier tries included, and `verifying` while they are read again. */
  readonly onProgress: (doneBytes: number, step: "fetching" | "verifying") => void;
  readonly chunkBytes?: number;
  readonly connections?: number;
  readonly firstPauseMs?: number;
  readonly recordMs?: number;
}

/**
 * Fetches a file by ranges, several at a time, and goes on where an earlier try has stopped, wherever that was. The final name appears
 * only on bytes that have been verified. However many ask for one file at a time, it is fetched once; it stops when the last of them has
 * stopped asking. Throws `does_not_fit` (disk), `home_unusable` (its folder), `model_broken` (wrong bytes, twice), or the source's error.
 */
export const downloadFile: (options: DownloadOptions) => Promise<{ readonly sha256: string }> = shareByTarget(fetchFile);

async function fetchFile(options: DownloadOptions): Promise<{ readonly sha256: string }> {
  const { target, fileBytes, signal, source } = options;
  const name = basename(target);
  if (!Number.isSafeInteger(fileBytes) || fileBytes < 1 || fileBytes > FILE_BYTES_MAX)
    throw new ClusterdError("usage", `${name} is said to have ${fileBytes} bytes.`);
  await makeFolder(dirname(target));
  const here = await adopted(options);
  if (here !== null) return here;
  const identity = options.sha256 ?? source.identity;
  await using part = await openPartFile(target, { identity, fileBytes, chunkBytes: options.chunkBytes ?? CHUNK_BYTES });
  await checkDiskRoom(dirname(target), fileBytes - part.ledger.doneBytes, name);
  for (let tries = 1; ; tries++) {
    const told = await fetchMissing(part, options);
    const expected = options.sha256 ?? told;
    const found = await digestOf(part, options, signal);
    const { changed } = part;
    if (expected === null ? changed.length === 0 : found === expected) {
      await part.finish();
      return { sha256: found };
    }
    // What the disk has made of it is fetched again alone; what came otherwise, whole.
    if (changed.length > 0) await part.forget(changed);
    else await part.startAgain();
    if (tries < FETCHES_MAX) continue;
    if (changed.length > 0)
      throw new ClusterdError("model_broken", `${name} is not the same on this disk as it came, twice.`, {
        next: "Something else writes to it, or the disk is failing. The same command fetches what has changed.",
        details: { changedChunks: changed.length },
      });
    throw new ClusterdError("model_broken", `${name} came from ${source.name} with other bytes than it says, twice.`, {
      next: "Nothing of it was kept. Try again later, or another copy of the model.",
      details: { expected, found },
    });
  }
}

/** A file that bears its final name already, though nobody knows why: it is taken where it is the one that is meant. */
async function adopted({
  target,
  fileBytes,
  sha256,
  signal,
  onProgress,
}: DownloadOptions): Promise<{ readonly sha256: string } | null> {
  const there = await stat(target).catch(() => null);
  if (sha256 === null || there?.isFile() !== true || there.size !== fileBytes) return null;
  const hash = createHash("sha256");
  let bytes = 0;
  try {
    for await (const piece of createReadStream(target, { highWaterMark: 4 * 1024 * 1024, signal })) {
      hash.update(piece as Buffer);
      onProgress((bytes += (piece as Buffer).length), "verifying");
    }
  } catch {
    signal.throwIfAborted();
    // Not readable: it is fetched, and says why where it cannot be written either.
    return null;
  }
  return hash.digest("hex") === sha256 ? { sha256 } : null;
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
