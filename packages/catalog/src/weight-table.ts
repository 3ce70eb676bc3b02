import { guardHeader, newContentHash } from "./header-guard.ts";
import type { ModelFile } from "./read-model.ts";

/** Where a tensor's bytes are. */
export interface TensorPlace {
  /** Index of the model's file. */
  readonly part: number;
  /** Bytes from that file's start. */
  readonly position: number;
  readonly bytes: number;
}

/** All tensors of a model on this disk, by name. */
export type WeightTable = ReadonlyMap<string, TensorPlace>;

/** A decoder layer's number; null: what belongs to no layer, and what lies on the head whatever the placement. */
export type WeightGroup = number | null;

const ON_THE_HEAD: ReadonlySet<string> = new Set(["token_embd.weight", "output.weight"]);

/** Reads the tensors' places from the headers. Throws `model_broken`. */
export async function readWeightTable(file: ModelFile, signal: AbortSignal): Promise<WeightTable> {
  const table = new Map<string, TensorPlace>();
  for (const [part, path] of file.parts.entries()) {
    const { dataStart, tensors } = await guardHeader(path, newContentHash(), signal);
    for (const { name, offset, bytes } of tensors) table.set(name, { part, position: dataStart + offset, bytes });
  }
  return table;
}

/** The group whose weights go where the tensor goes: its layer's, or null for the few that follow the last layer. */
export function groupOf(name: string): WeightGroup {
  const layer = /^blk\.(\d+)\./.exec(name)?.[1];
  return layer === undefined ? null : Number(layer);
}

/** Names of a group's tensors, in order of their places. */
export function namesOf(table: WeightTable, group: WeightGroup): readonly string[] {
  return [...table]
    .filter(([name]) => groupOf(name) === group && !ON_THE_HEAD.has(name))
    .toSorted(([, a], [, b]) => a.part - b.part || a.position - b.position)
    .map(([name]) => name);
}
