import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Projector } from "@clusterd/wire";
import { guardHeader, newContentHash } from "./header-guard.ts";
import { FOLDER_ENTRIES_MAX, PROJECTORS_LOOKED_AT_MAX } from "./limits.ts";
import { readMetadata } from "./read-metadata.ts";

const F32_BYTES = 4;
const F16_BYTES = 2;

/** Whether a file's name says that it lets a model see or hear, and is none itself: `mmproj-model-f16.gguf` and the like. */
export function isProjectorName(path: string): boolean {
  return /(^|[-_.])mmproj([-_.].*)?\.gguf$/i.test(basename(path));
}

/** The files beside a model that may be its projector, those that share most of its name first. */
export async function projectorFiles(modelPath: string): Promise<readonly string[]> {
  const folder = dirname(modelPath);
  const names = (await readdir(folder).catch(() => [])).slice(0, FOLDER_ENTRIES_MAX).filter(isProjectorName);
  const model = basename(modelPath).toLowerCase();
  const shared = (name: string): number => {
    const rest = name.toLowerCase().replace(/(^|[-_.])mmproj[-_.]?/, "");
    let length = 0;
    while (length < rest.length && rest[length] === model[length]) length += 1;
    return length;
  };
  return names
    .toSorted((a, b) => shared(b) - shared(a) || (a < b ? -1 : 1))
    .slice(0, PROJECTORS_LOOKED_AT_MAX)
    .map((name) => join(folder, name));
}

/** The first of the files that makes vectors of the model's own length of images; null where none does. One that is broken is none. */
export async function findProjector(
  files: readonly string[],
  embeddingLength: number,
  signal: AbortSignal,
): Promise<Projector | null> {
  for (const path of files) {
    const found = await readProjector(path, embeddingLength, signal).catch(() => null);
    signal.throwIfAborted();
    if (found !== null) return found;
  }
  return null;
}

async function readProjector(path: string, embeddingLength: number, signal: AbortSignal): Promise<Projector | null> {
  const { tensors } = await guardHeader(path, newContentHash(), signal);
  const { general, specific } = await readMetadata(path, signal);
  const vision = specific["vision"] as Readonly<Record<string, unknown>> | undefined;
  if (general.architecture !== "clip" || vision === undefined || vision["projection_dim"] !== embeddingLength) return null;
  const { size } = await stat(path);
  const weights = tensors.reduce((sum, { bytes }) => sum + bytes, 0);
  return { file: basename(path), fileBytes: size, memoryBytes: weights + computeBytes(vision) };
}

/**
 * Bytes of intermediate results for the largest image, no less than llama.cpp takes (`clip_graph`): the pixels, the attention of every piece to
 * every other one, without flash attention, and the widths of a layer side by side.
 */
function computeBytes(vision: Readonly<Record<string, unknown>>): number {
  const number = (key: string, otherwise = 0): number => {
    const value = key.split(".").reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], vision);
    return typeof value === "number" && Number.isFinite(value) && value > 0 ? value : otherwise;
  };
  const pixels = Math.max(number("image_max_pixels"), number("image_size") ** 2);
  const pieces = Math.ceil(pixels / number("patch_size", 1) ** 2) + 1;
  const heads = number("attention.head_count", 1);
  const widths = 8 * number("embedding_length") + 2 * number("feed_forward_length");
  return 3 * pixels * F32_BYTES + pieces ** 2 * heads * (F32_BYTES + F16_BYTES) + pieces * widths * F32_BYTES;
}
