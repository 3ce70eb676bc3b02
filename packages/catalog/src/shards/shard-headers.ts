import { open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ContentId } from "@clusterd/wire";
import { guardHeader, newContentHash } from "../header-guard.ts";

/** A model's parts in their folder. */
export interface ShardFolder {
  readonly folder: string;
  readonly names: readonly string[];
  readonly contentId: ContentId;
}

const copyOf = (folder: string, part: number): string => join(folder, `header-${part}.copy`);

/** Keeps what the parts begin with a second time: a bit that flips there would make another model of them. */
export async function keepHeaders({ folder }: Pick<ShardFolder, "folder">, starts: readonly Buffer[]): Promise<void> {
  for (const [part, bytes] of starts.entries()) await writeFile(copyOf(folder, part), bytes);
}

/** Whether the parts' headers are their model's; where they are not, they are written again from what was kept of them. */
export async function mendHeaders(shard: ShardFolder, signal: AbortSignal): Promise<boolean> {
  if (await areRight(shard, signal)) return true;
  for (const [part, name] of shard.names.entries()) {
    const bytes = await readFile(copyOf(shard.folder, part)).catch(() => null);
    const file = bytes === null ? null : await open(join(shard.folder, name), "r+").catch(() => null);
    if (bytes === null || file === null) return false;
    await using out = file;
    for (let at = 0; at < bytes.length;) at += (await out.write(bytes, at, bytes.length - at, at)).bytesWritten;
    await out.datasync();
  }
  return areRight(shard, signal);
}

async function areRight({ folder, names, contentId }: ShardFolder, signal: AbortSignal): Promise<boolean> {
  const hash = newContentHash();
  try {
    for (const name of names) await guardHeader(join(folder, name), hash, signal);
  } catch {
    signal.throwIfAborted();
    // What is no header at all is not this one.
    return false;
  }
  return hash.digest("hex") === contentId;
}
