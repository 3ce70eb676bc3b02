import { stat } from "node:fs/promises";

/** What `du` counts in. */
const DISK_BLOCK_BYTES = 512;

/**
 * What a file takes on its disk, holes not counted; null where there is none, or where this system does not tell: Windows gives a file
 * with holes its full length.
 */
export async function fileDiskBytes(path: string): Promise<number | null> {
  const found = await stat(path).catch(() => null);
  if (found === null || process.platform === "win32" || !(found.blocks >= 0)) return null;
  return found.blocks * DISK_BLOCK_BYTES;
}

/** The same of whole files, by their length where the system tells no more; 0 for what is not there. */
export async function wholeDiskBytes(paths: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const path of paths) bytes += (await fileDiskBytes(path)) ?? (await stat(path).catch(() => null))?.size ?? 0;
  return bytes;
}
