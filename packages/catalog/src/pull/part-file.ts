import { constants } from "node:fs";
import * as files from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import { createLedger, parseLedger, type ChunkLedger } from "./chunk-ledger.ts";
import { onDisk } from "./disk-error.ts";
import { LEDGER_BYTES_MAX } from "./pull-limits.ts";

/** A file on its way to the disk, and the record of what of it is there for good. */
export interface PartFile extends AsyncDisposable {
  readonly ledger: ChunkLedger;
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** A chunk's bytes have all been written, front to back; it counts once `record` has run. */
  chunkWritten(chunk: number): void;
  /** Makes what was written last: first the bytes, then the word of them. */
  record(): Promise<void>;
  /** Forgets all that was fetched. */
  startAgain(): Promise<void>;
  /** Forgets these chunks. */
  forget(chunks: readonly number[]): Promise<void>;
  /** The bytes from the start, in pieces. */
  read(signal: AbortSignal): AsyncGenerator<Uint8Array>;
  /** Chunks that the last `read` has found to be other than they came. */
  readonly changed: readonly number[];
  /** Gives the file its final name. */
  finish(): Promise<void>;
}

/** What of `node:fs/promises` is used: a test may lose the power on it. */
export type Disk = Pick<typeof files, "open" | "rename" | "rm" | "mkdir">;

/** A chunk on its way: how far it has come, and the sum of that. */
interface Coming {
  next: number;
  sum: number;
}

const READ_BYTES: number = 4 * 1024 * 1024;
/** A symbolic link in its place is not followed, and a pipe is not waited for. */
const OPEN_FLAGS = constants.O_RDWR | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/**
 * Opens what an earlier try has left of `target`, or begins anew. `identity` names the content: what was left of another is no use.
 * Until {@link PartFile.finish} nothing bears the final name. Throws `does_not_fit`, `home_unusable`.
 */
export async function openPartFile(
  target: string,
  { identity, fileBytes, chunkBytes }: { readonly identity: string; readonly fileBytes: number; readonly chunkBytes: number },
  disk: Disk = files,
): Promise<PartFile> {
  const path = `${target}.part`;
  const record = `${target}.part.json`;
  const left = (): number => fileBytes - done.doneBytes;
  const named = <Value>(work: Promise<Value>): Promise<Value> => onDisk(path, work, left);
  const folder = dirname(target);

  let done = createLedger(fileBytes, chunkBytes);
  await named(disk.mkdir(folder, { recursive: true }));
  const kept = await keptLedger(disk, record, { identity, fileBytes, chunkBytes });
  let file: FileHandle | null = await disk.open(path, OPEN_FLAGS).catch((error: NodeJS.ErrnoException) => {
    // What cannot be opened is begun anew, and says why where that fails too.
    if (error.code !== "ENOENT" && error.code !== "ELOOP") return named(Promise.reject(error));
    return null;
  });
  // A record without its bytes tells nothing.
  const there = await file?.stat();
  if (kept !== null && there?.isFile() === true && there.size === fileBytes) done = kept;
  else {
    await file?.close();
    await forgetRecord();
    await named(disk.rm(path, { force: true }));
    file = await named(disk.open(path, OPEN_FLAGS | constants.O_CREAT | constants.O_EXCL, 0o644));
    await named(file.truncate(fileBytes));
  }
  if (file === null) throw new Error("a part file is open by now");
  const handle: FileHandle = file;
  const coming = new Map<number, Coming>();
  let written: { readonly chunk: number; readonly sum: number }[] = [];
  let changed: readonly number[] = [];
  let isNews = false;
  let recording: Promise<void> = Promise.resolve();
  const inTurn = (work: () => Promise<void>): Promise<void> => (recording = recording.catch(() => undefined).then(work));

  async function recordNow(): Promise<void> {
    const now = written;
    if (now.length === 0 && !isNews) return;
    written = [];
    // Where this fails, what of it is on the disk nobody knows: those chunks are fetched again.
    if (now.length > 0) await named(handle.datasync());
    for (const { chunk, sum } of now) done.add(chunk, sum);
    isNews = true;
    await named(writeDurably(disk, record, done.text(identity)));
    isNews = false;
  }

  /** For good, before the bytes it tells of go. */
  async function forgetRecord(): Promise<void> {
    await named(disk.rm(record, { force: true }));
    await syncFolder(disk, folder);
  }

  function addUp(bytes: Uint8Array, position: number): void {
    for (let at = 0; at < bytes.length;) {
      const chunk = Math.floor((position + at) / chunkBytes);
      const [first, last] = done.range(chunk);
      const piece = bytes.subarray(at, at + last + 1 - (position + at));
      const begun = position + at === first ? { next: first, sum: 0 } : coming.get(chunk);
      if (begun?.next === position + at) coming.set(chunk, { next: begun.next + piece.length, sum: crc32(piece, begun.sum) });
      at += piece.length;
    }
  }

  return {
    get ledger() {
      return done;
    },
    get changed() {
      return changed;
    },
    async write(bytes, position) {
      for (let at = 0; at < bytes.length;)
        at += (await named(handle.write(bytes, at, bytes.length - at, position + at))).bytesWritten;
      addUp(bytes, position);
    },
    chunkWritten(chunk) {
      const came = coming.get(chunk);
      coming.delete(chunk);
      if (came?.next !== done.range(chunk)[1] + 1) throw new Error(`chunk ${chunk} was not written front to back`);
      written.push({ chunk, sum: came.sum });
    },
    record: () => inTurn(recordNow),
    startAgain: () =>
      inTurn(async () => {
        written = [];
        coming.clear();
        isNews = false;
        await forgetRecord();
        done = createLedger(fileBytes, chunkBytes);
        await named(handle.truncate(0));
        await named(handle.truncate(fileBytes));
      }),
    forget: (chunks) =>
      inTurn(async () => {
        for (const chunk of chunks) done.remove(chunk);
        isNews = true;
        await recordNow();
      }),
    async *read(signal) {
      const window = Buffer.allocUnsafe(READ_BYTES);
      const other: number[] = [];
      let [chunk, sum] = [0, 0];
      for (let position = 0; position < fileBytes;) {
        signal.throwIfAborted();
        const { bytesRead } = await named(handle.read(window, 0, READ_BYTES, position));
        if (bytesRead === 0) break;
        for (let at = 0; at < bytesRead;) {
          const last = done.range(chunk)[1];
          const piece = window.subarray(at, Math.min(bytesRead, at + last + 1 - (position + at)));
          sum = crc32(piece, sum);
          at += piece.length;
          if (position + at <= last) continue;
          if (sum !== done.sum(chunk)) other.push(chunk);
          [chunk, sum] = [chunk + 1, 0];
        }
        yield window.subarray(0, bytesRead);
        position += bytesRead;
      }
      // Cut meanwhile, or before it was opened again: what is not there is not what came.
      for (; chunk < done.count; chunk++) other.push(chunk);
      changed = other;
    },
    async finish() {
      await named(handle.sync());
      await onDisk(target, disk.rename(path, target));
      await syncFolder(disk, folder);
      // It tells of no file by now: left behind it does no harm.
      await disk.rm(record, { force: true }).catch(() => undefined);
    },
    async [Symbol.asyncDispose]() {
      await recording.catch(() => undefined);
      await handle.close();
    },
  };
}

async function keptLedger(
  disk: Disk,
  record: string,
  { identity, fileBytes, chunkBytes }: { readonly identity: string; readonly fileBytes: number; readonly chunkBytes: number },
): Promise<ChunkLedger | null> {
  try {
    await using handle = await disk.open(record, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
    const { size } = await handle.stat();
    if (size > LEDGER_BYTES_MAX) return null;
    return parseLedger(await handle.readFile("utf8"), identity, fileBytes, chunkBytes);
  } catch {
    // Not begun yet, or not readable: all is fetched.
    return null;
  }
}

async function writeDurably(disk: Disk, path: string, text: string): Promise<void> {
  const temporary = `${path}.tmp`;
  await disk.rm(temporary, { force: true });
  try {
    {
      await using handle = await disk.open(temporary, "wx");
      await handle.writeFile(text);
      await handle.datasync();
    }
    await disk.rename(temporary, path);
  } catch (error) {
    // Half of it takes room on a disk that may have none.
    await disk.rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
}

/** Not every system can: then a power loss may bring the old name back, which is found at the next start. */
async function syncFolder(disk: Disk, folder: string): Promise<void> {
  const handle = await disk.open(folder, "r").catch(() => null);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}
