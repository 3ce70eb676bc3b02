import { createHash, type Hash } from "node:crypto";
import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { brokenModel } from "./broken-model.ts";
import { FIXED_HEADER_BYTES, parseFixedHeader } from "./fixed-header.ts";
import { headerCursor, type HeaderSource } from "./header-cursor.ts";
import { HEADER_WINDOW_BYTES, MODEL_BYTES_MAX } from "./limits.ts";
import { walkMetadata, type GuardedMetadata } from "./metadata-walk.ts";
import { sizeText, sizeTexts } from "./size-text.ts";
import { walkTensors, type Tensor } from "./tensor-walk.ts";

/** A header whose every length, count and tensor place was checked against the file. */
export interface GuardedHeader {
  readonly path: string;
  readonly fileBytes: number;
  /** Where the tensors' data begins: all before it is header. */
  readonly dataStart: number;
  readonly metadata: GuardedMetadata;
  readonly tensors: readonly Tensor[];
}

/**
 * Walks over a GGUF file's header in a window of 1 MiB and adds the header's bytes to `contentHash`. Whatever the file
 * claims, no more memory or time is spent than its header's true length is worth; a broken file is refused
 * (`model_broken`) before any process is started for it.
 */
export async function guardHeader(path: string, contentHash: Hash, signal: AbortSignal): Promise<GuardedHeader> {
  await using handle = await openFile(path);
  const { size: fileBytes } = await handle.stat();
  return await walkHeader(handle, path, fileBytes, contentHash, signal);
}

/** The same for a header from anywhere, of a file of `fileBytes` bytes of which no more than the header need be there. */
export async function walkHeader(
  handle: HeaderSource,
  path: string,
  fileBytes: number,
  contentHash: Hash,
  signal: AbortSignal,
): Promise<GuardedHeader> {
  if (fileBytes > MODEL_BYTES_MAX) throw brokenModel(path, `${sizeText(fileBytes)} are larger than any model's file`);
  const first = Buffer.alloc(Math.min(FIXED_HEADER_BYTES, fileBytes));
  await handle.read(first, 0, first.length, 0);
  const fixed = parseFixedHeader(first, path, fileBytes);

  const cursor = headerCursor(handle, path, fileBytes, signal);
  await cursor.skip(FIXED_HEADER_BYTES);
  const metadata = await walkMetadata(cursor, fixed.metadataCount, path);
  const tensors = await walkTensors(cursor, fixed.tensorCount, metadata.alignment, path);
  const aligned = Math.ceil(cursor.position() / metadata.alignment) * metadata.alignment;
  const dataStart = tensors.length === 0 ? cursor.position() : aligned;
  const last = tensors.at(-1);
  // Tensors lie one after the other, so that the last one's end is the least the file must hold.
  const claimedBytes = last === undefined ? dataStart : dataStart + last.offset + last.bytes;
  if (claimedBytes > fileBytes) {
    const [held, claimed] = sizeTexts(fileBytes, claimedBytes);
    throw brokenModel(path, `the file holds ${held}, its header says ${claimed}: it was cut short`, "fetch the file again");
  }
  await hashStart(handle, path, dataStart, contentHash, signal);
  return { path, fileBytes, dataStart, metadata, tensors };
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    // Not blocking: a pipe in place of a file must not hold the daemon.
    return await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (thrown) {
    throw brokenModel(path, "the file cannot be read", "check its permissions", thrown);
  }
}

async function hashStart(handle: HeaderSource, path: string, bytes: number, hash: Hash, signal: AbortSignal): Promise<void> {
  const window = Buffer.allocUnsafe(Math.min(HEADER_WINDOW_BYTES, bytes));
  for (let position = 0; position < bytes;) {
    signal.throwIfAborted();
    const { bytesRead } = await handle.read(window, 0, Math.min(window.length, bytes - position), position);
    if (bytesRead === 0) throw brokenModel(path, "the file became shorter while it was read");
    hash.update(window.subarray(0, bytesRead));
    position += bytesRead;
  }
}

/** A hash for `guardHeader`; with the headers of all parts in order it makes the content id. */
export function newContentHash(): Hash {
  return createHash("sha256");
}
