import { mkdir, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { ClusterdError } from "@clusterd/wire";
import { sizeText } from "../size-text.ts";

const FULL: Readonly<Record<string, string>> = {
  ENOSPC: "The disk is full",
  EDQUOT: "This user's share of the disk is used up",
  EFBIG: "This file system takes no file that large",
};
const UNUSABLE: Readonly<Record<string, string>> = {
  EACCES: "it may not be written",
  EPERM: "it may not be written",
  EROFS: "its disk is read-only",
  ENOENT: "its folder is gone",
  ENOTDIR: "a file is where a folder must be",
  EEXIST: "a file is where a folder must be",
  EISDIR: "a folder is where a file must be",
  ELOOP: "a symbolic link is in its place",
  ENAMETOOLONG: "its name is too long for this file system",
  EIO: "the disk does not answer",
  ESTALE: "its network drive is gone",
  ENXIO: "its disk is gone",
  ENODEV: "its disk is gone",
  EMFILE: "too many files are open",
  ENFILE: "too many files are open",
};

/**
 * What a disk refuses, in words: `does_not_fit` where it is full (with what is needed and free), `home_unusable` where `path` cannot be
 * written or read. Other errors stay as they are.
 */
export async function onDisk<Value>(path: string, work: Promise<Value>, neededBytes?: () => number): Promise<Value> {
  try {
    return await work;
  } catch (error) {
    throw await diskError(path, error, neededBytes?.());
  }
}

/** A folder and those above it, where they are not there; step by step, for the system's own way says of a disk that is read-only that there is none. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await onDisk(path, mkdir(path));
  } catch (error) {
    const { code } = ((error as Error).cause ?? error) as NodeJS.ErrnoException;
    if (code === "EEXIST" && (await stat(path).catch(() => null))?.isDirectory() === true) return;
    if (code !== "ENOENT" || dirname(path) === path) throw error;
    await makeFolder(dirname(path));
    await onDisk(path, mkdir(path, { recursive: true }));
  }
}

async function diskError(path: string, error: unknown, neededBytes: number | undefined): Promise<unknown> {
  const { code = "" } = error as NodeJS.ErrnoException;
  const full = FULL[code];
  if (full !== undefined) {
    const disk = await statfs(dirname(path)).catch(() => null);
    const free = disk === null ? "" : `, ${sizeText(disk.bavail * disk.bsize)} are free`;
    const needs = neededBytes === undefined ? "" : ` needs ${sizeText(neededBytes)} more${free}`;
    return new ClusterdError("does_not_fit", `${full}: ${path}${needs} (${code}).`, {
      next: "What was fetched is kept: make room, and the same command goes on from there.",
      cause: error,
      ...(disk === null || neededBytes === undefined
        ? {}
        : { details: { bytesNeeded: neededBytes, bytesFree: disk.bavail * disk.bsize } }),
    });
  }
  const why = UNUSABLE[code];
  if (why === undefined) return error;
  return new ClusterdError("home_unusable", `${path} cannot be kept: ${why} (${code}).`, {
    next: "Check the folder, who owns it, and its disk; the same command then goes on from what is there.",
    cause: error,
  });
}
