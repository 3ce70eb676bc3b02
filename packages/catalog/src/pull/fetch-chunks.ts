import { setTimeout as pause } from "node:timers/promises";
import { ClusterdError, asClusterdError } from "@clusterd/wire";
import { retryAfterMs } from "../remote/hub-request.ts";
import type { DownloadOptions } from "./download-file.ts";
import type { RangeAnswer } from "./hub-source.ts";
import type { PartFile } from "./part-file.ts";
import {
  CHUNK_BYTES,
  CHUNK_TRIES_MAX,
  CONNECTIONS,
  FIRST_PAUSE_MS,
  PAUSE_MS_MAX,
  PROGRESS_BYTES_MIN,
  RECORD_MS,
  REQUEST_BYTES,
} from "./pull-limits.ts";

/** Answered with the whole file where a part was asked for. */
class WholeAnswer extends Error {}

/** What the source has said of the file meanwhile. */
interface Told {
  sha256: string | null;
  /** It has answered with a part. */
  hasParts: boolean;
}

/** Fetches the chunks that are not there; gives the file's SHA-256 as the source has told it, null where it has not. */
export async function fetchMissing(part: PartFile, options: DownloadOptions): Promise<string | null> {
  const told: Told = { sha256: null, hasParts: false };
  const recorder = setInterval(() => void part.record().catch(() => undefined), options.recordMs ?? RECORD_MS);
  try {
    await inParts(part, options, told).catch(async (error: unknown) => {
      if (!(error instanceof WholeAnswer)) throw error;
      // No parts are served, or the file is another than when it was begun: what there is of it is no use.
      await part.startAgain();
      await asWhole(part, options, told);
    });
  } finally {
    clearInterval(recorder);
    // Also what came before a failure stays: its own failure is not the news.
    await part.record().catch(() => undefined);
  }
  await part.record();
  return told.sha256;
}

async function inParts(part: PartFile, options: DownloadOptions, told: Told): Promise<void> {
  const { ledger } = part;
  const queue = runsOf(ledger.missing(), requestChunks(options));
  const failed = new AbortController();
  const signal = AbortSignal.any([options.signal, failed.signal]);
  let doneBytes = ledger.doneBytes;
  options.onProgress(doneBytes, "fetching");
  const came = (bytes: number): void => options.onProgress((doneBytes += bytes), "fetching");
  const worker = async (): Promise<void> => {
    for (let run = queue.shift(); run !== undefined; run = queue.shift())
      await oneRun(part, run, { ...options, signal }, came, told);
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

/** First and last of chunks that are asked for together. */
type Run = readonly [number, number];

/** Chunks of one request: what is written down as done is finer, so that a kill on a slow line costs little. */
function requestChunks({ chunkBytes }: DownloadOptions): number {
  return chunkBytes === undefined ? REQUEST_BYTES / CHUNK_BYTES : 1;
}

function runsOf(chunks: readonly number[], most: number): Run[] {
  const runs: [number, number][] = [];
  for (const chunk of chunks) {
    const last = runs.at(-1);
    if (last !== undefined && last[1] + 1 === chunk && chunk - last[0] < most) last[1] = chunk;
    else runs.push([chunk, chunk]);
  }
  return runs;
}

/** One range, tried again from where it broke off; a source that says when is waited for. */
async function oneRun(
  part: PartFile,
  [firstChunk, lastChunk]: Run,
  options: DownloadOptions,
  came: (bytes: number) => void,
  told: Told,
): Promise<void> {
  const { source, signal } = options;
  const [first] = part.ledger.range(firstChunk);
  const [, last] = part.ledger.range(lastChunk);
  let chunk = firstChunk;
  let position = first;
  let settled = first;
  let wholes = 0;
  for (let tries = 1; ; tries++) {
    const begun = position;
    try {
      const answer = await source.open([position, last], signal);
      try {
        checkSame(answer, options, told);
        // Of what has come nothing is thrown away for one answer: it may be someone's in between.
        const isInParts = told.hasParts || part.ledger.doneBytes > 0;
        if (answer.isWhole && ((wholes += 1) > 1 || !isInParts)) throw new WholeAnswer();
        told.hasParts ||= !answer.isWhole;
        if (answer.isWhole) throw new ClusterdError("failed", `${source.name} sent something else than the bytes asked for.`);
        for await (const bytes of answer.bytes) {
          const taken = bytes.subarray(0, last + 1 - position);
          await part.write(taken, position);
          position += taken.length;
          came(taken.length);
          while (chunk <= lastChunk && position > part.ledger.range(chunk)[1]) part.chunkWritten(chunk++);
          if (position > last) return;
        }
      } finally {
        answer.close();
      }
      throw new ClusterdError("timeout", `${source.name} hung up after ${position - begun} of ${last + 1 - begun} bytes.`);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof WholeAnswer || !mayPass(error)) throw error;
      // What came is progress; only standing still, or nearly, uses up tries.
      if (position - settled >= PROGRESS_BYTES_MIN) [settled, tries] = [position, 0];
      if (tries >= CHUNK_TRIES_MAX) throw error;
      await pause(pauseMs(error, tries, options.firstPauseMs ?? FIRST_PAUSE_MS), undefined, { signal });
    }
  }
}

/** The whole file in one go, from its start: all that a source without ranges can do. */
async function asWhole(part: PartFile, options: DownloadOptions, told: Told): Promise<void> {
  const { source, signal, fileBytes, onProgress } = options;
  const { ledger } = part;
  for (let tries = 1; ; tries++) {
    let position = 0;
    let chunk = 0;
    try {
      const answer = await source.open([0, fileBytes - 1], signal);
      try {
        checkSame(answer, options, told);
        for await (const bytes of answer.bytes) {
          const taken = bytes.subarray(0, fileBytes - position);
          await part.write(taken, position);
          position += taken.length;
          onProgress(position, "fetching");
          while (chunk < ledger.count && position > ledger.range(chunk)[1]) part.chunkWritten(chunk++);
          if (position >= fileBytes) return;
        }
      } finally {
        answer.close();
      }
      throw new ClusterdError("timeout", `${source.name} hung up after ${position} of ${fileBytes} bytes.`);
    } catch (error) {
      signal.throwIfAborted();
      if (!mayPass(error) || tries >= CHUNK_TRIES_MAX) throw error;
      await pause(pauseMs(error, tries, options.firstPauseMs ?? FIRST_PAUSE_MS), undefined, { signal });
    }
  }
}

/** Refuses another file than the listing's before a byte of it is written; of a page in its place what is there is not thrown away. */
function checkSame(answer: RangeAnswer, { source, fileBytes, sha256 }: DownloadOptions, told: Told): void {
  if (answer.fileBytes !== null && answer.fileBytes !== fileBytes)
    throw new ClusterdError(
      // A page in place of an answer, from someone in between, may be gone the next time.
      answer.isWhole ? "failed" : "model_broken",
      `${source.name} has the file in ${answer.fileBytes} bytes, not the ${fileBytes} it lists.`,
      { next: "What was fetched is kept. Try again; if it stays so, try another copy of the model." },
    );
  if (sha256 !== null && answer.sha256 !== null && sha256 !== answer.sha256)
    throw new ClusterdError("model_broken", `${source.name} lists the file with another digest than it serves it.`, {
      next: "Try again later, or another copy of the model.",
      details: { expected: sha256, found: answer.sha256 },
    });
  told.sha256 ??= answer.sha256;
}

/** Whether it may go better the next time: not where one may not, where nothing is, or where the disk is full. */
function mayPass(error: unknown): boolean {
  const { code, details } = asClusterdError(error);
  // What a server will say again whatever is tried.
  const isFinal = typeof details?.["status"] === "number" && details["status"] < 500 && details["passing"] !== true;
  return code === "timeout" || (code === "failed" && !isFinal);
}

function pauseMs(error: unknown, tries: number, firstMs: number): number {
  return retryAfterMs(error) ?? Math.min(firstMs * 2 ** Math.max(0, tries - 1), PAUSE_MS_MAX);
}
