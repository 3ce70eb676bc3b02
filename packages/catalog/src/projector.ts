import { readdir } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import type { Projector } from "@clusterd/wire";
import { isProjectorName, likelier } from "./choose-projector.ts";
import { guardHeader, newContentHash, type GuardedHeader } from "./header-guard.ts";
import { FOLDER_ENTRIES_MAX, PROJECTORS_LOOKED_AT_MAX } from "./limits.ts";
import { readMetadata, type ModelMetadata } from "./read-metadata.ts";

const F32_BYTES = 4;
const F16_BYTES = 2;

/** The files beside a model that may be its projector, those that share most of its name first. */
export async function projectorFiles(modelPath: string): Promise<readonly string[]> {
  const folder = dirname(modelPath);
  const names = (await readdir(folder).catch(() => [])).slice(0, FOLDER_ENTRIES_MAX).filter(isProjectorName);
  return names
    .toSorted(likelier(basename(modelPath)))
    .slice(0, PROJECTORS_LOOKED_AT_MAX)
    .map((name) => join(folder, name));
}

/** The first of the files that makes vectors of the model's own length of images; null where none does. One that is broken is none. */
export async function findProjector(
  modelPath: string,
  files: readonly string[],
  embeddingLength: number,
  signal: AbortSignal,
): Promise<Projector | null> {
  for (const path of files) {
    const found = await readProjector(path, embeddingLength, signal).catch(() => null);
    signal.throwIfAborted();
    // Most lie beside their model: a name alone then.
    if (found !== null) return { ...found, file: relative(dirname(modelPath), path) };
  }
  return null;
}

async function readProjector(path: string, embeddingLength: number, signal: AbortSignal): Promise<Projector | null> {
  const header = await guardHeader(path, newContentHash(), signal);
  return projectorOf(header, await readMetadata(path, signal), embeddingLength);
}

/** What a file of which the header was read is as a projector; null where it is none for a model of that width. */
export function projectorOf(
  { path, fileBytes, tensors }: Pick<GuardedHeader, "path" | "fileBytes" | "tensors">,
  { general, specific }: ModelMetadata,
  embeddingLength: number,
): Projector | null {
  const vision = specific["vision"] as Readonly<Record<string, unknown>> | undefined;
  if (general.architecture !== "clip" || vision === undefined || vision["projection_dim"] !== embeddingLength) return null;
  const weights = tensors.reduce((sum, { bytes }) => sum + bytes, 0);
  return { file: basename(path), fileBytes, memoryBytes: weights + computeBytes(vision) };
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
