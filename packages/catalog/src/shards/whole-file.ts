import { open, type FileHandle } from "node:fs/promises";
import { basename } from "node:path";
import { guardHeader, newContentHash, type GuardedHeader } from "../header-guard.ts";
import type { ModelFile } from "../read-model.ts";
import { layoutOf } from "./shard-layout.ts";
import { readAll, type HeldModel } from "./shard-file.ts";

/** A model's whole file, as others may have blocks of it. Throws `model_broken`. */
export async function openWholeFile(file: ModelFile, signal: AbortSignal): Promise<HeldModel & AsyncDisposable> {
  const headers: GuardedHeader[] = [];
  for (const part of file.parts) headers.push(await guardHeader(part, newContentHash(), signal));
  const layout = layoutOf(headers);
  const handles: FileHandle[] = [];
  for (const part of file.parts) handles.push(await open(part, "r"));
  const read = async (part: number, position: number, length: number): Promise<Buffer> => {
    const bytes = Buffer.allocUnsafe(length);
    await readAll(handles[part], file.parts[part] ?? "", bytes, position);
    return bytes;
  };
  return {
    layout,
    names: file.parts.map((path) => basename(path)),
    has: () => true,
    read: ({ part, position, bytes }) => read(part, position, bytes),
    header: (part) => read(part, 0, layout.parts[part]?.dataStart ?? 0),
    async [Symbol.asyncDispose]() {
      await Promise.all(handles.map((handle) => handle.close()));
    },
  };
}
