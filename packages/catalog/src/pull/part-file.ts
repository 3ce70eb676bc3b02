import { open, readFile, rename, rm, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { ClusterdError } from "@clusterd/wire";
import { createLedger, parseLedger, type ChunkLedger } from "./chunk-ledger.ts";

/** A file on its way to the disk, and the record of what of it is there for good. */
export interface PartFile extends AsyncDisposable {
  readonly ledger: ChunkLedger;
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** A chunk's bytes have all been written; it counts once `record` has run. */
  chunkWritten(chunk: number): void;
  /** Makes what was written last: first the bytes, then the word of them. */
  record(): Promise<void>;
  /** Forgets all that was fetched. */
  startAgain(): Promise<void>;
  /** The bytes from the start, in pieces. */
  read(signal: AbortSignal): AsyncGenerator<Uint8Array>;
  /** Gives the file its final name. */
  finish(): Promise<void>;
}

const READ_BYTES: number = 4 * 1024 * 1024;

/**
 * Opens what an earlier try has left of `target`, or begins anew. `identity` names the content: what was left of another is no use.
 * Until {@link PartFile.finish} nothing bears the final name.
 */
export async function openPartFile(target: string, identity: string, fileBytes: number, chunkBytes: number): Promise<PartFile> {
  const path = `${target}.part`;
  const record = `${target}.part.json`;
  const kept = await readFile(record, "utf8").catch(() => null);
  let handle: FileHandle | null = await open(path, "r+").catch(() => null);
  let ledger = kept === null || handle === null ? null : parseLedger(kept, identity, fileBytes, chunkBytes);
  // A record without its bytes tells nothing.
  if (ledger !== null && handle !== null && (await handle.stat()).size !== fileBytes) ledger = null;
  if (ledger === null) {
    await handle?.close();
    await rm(record, { force: true });
    handle = await open(path, "w+");
    await named(path, handle.truncate(fileBytes));
  }
  const file = handle ?? (await open(path, "r+"));
  let done = ledger ?? createLedger(fileBytes, chunkBytes);
  let written: number[] = [];
  let recording: Promise<void> = Promise.resolve();

  async function recordNow(): Promise<void> {
    const now = written;
    if (now.length === 0) return;
    written = [];
    await named(path, file.datasync());
    for (const chunk of now) done.add(chunk);
    await named(path, writeDurably(record, done.text(identity)));
  }

  return {
    get ledger() {
      return done;
    },
    async write(bytes, position) {
      for (let at = 0; at < bytes.length;)
        at += (await named(path, file.write(bytes, at, bytes.length - at, position + at))).bytesWritten;
    },
    chunkWritten(chunk) {
      written.push(chunk);
    },
    record: () => (recording = recording.then(recordNow)),
    async startAgain() {
      await recording.catch(() => undefined);
      written = [];
      done = createLedger(fileBytes, chunkBytes);
      await rm(record, { force: true });
      await file.truncate(0);
      await named(path, file.truncate(fileBytes));
    },
    async *read(signal) {
      const window = Buffer.allocUnsafe(READ_BYTES);
      for (let position = 0; position < fileBytes;) {
        signal.throwIfAborted();
        const { bytesRead } = await file.read(window, 0, READ_BYTES, position);
        if (bytesRead === 0) throw new ClusterdError("failed", `${path} became shorter while it was read.`);
        yield window.subarray(0, bytesRead);
        position += bytesRead;
      }
    },
    async finish() {
      await file.sync();
      await rename(path, target);
      await syncFolder(dirname(target));
      await rm(record, { force: true });
    },
    [Symbol.asyncDispose]: () => file.close(),
  };
}

async function writeDurably(path: string, text: string): Promise<void> {
  const temporary = `${path}.tmp`;
  {
    await using handle = await open(temporary, "w");
    await handle.writeFile(text);
    await handle.datasync();
  }
  await rename(temporary, path);
}

/** Not every system can: then a power loss may bring the old name back, which is found at the next start. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r").catch(() => null);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}

/** A full disk, in words. */
async function named<Value>(path: string, work: Promise<Value>): Promise<Value> {
  return work.catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOSPC" && error.code !== "EDQUOT" && error.code !== "EFBIG") throw error;
    const what = error.code === "EFBIG" ? "This file system takes no file that large" : "The disk is full";
    throw new ClusterdError("does_not_fit", `${what}: ${path} (${error.code}).`, {
      next: "What was fetched is kept: make room, and the same command goes on from there.",
      cause: error,
    });
  });
}
