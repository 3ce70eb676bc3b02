import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { brokenModel } from "./broken-model.ts";
import type { GuardedHeader } from "./header-guard.ts";
import { PARTS_MAX } from "./limits.ts";
import { plainText } from "./plain-text.ts";

const PART_NAME = /^(?<stem>.+)-(?<number>\d{5})-of-(?<count>\d{5})\.gguf$/iu;
const MISSING_SHOWN_MAX = 5;

export interface PartName {
  /** The name without part number and ending. */
  readonly stem: string;
  /** From 1. */
  readonly number: number;
  readonly count: number;
}

/** What a file's name says of its place in a split model, or null for a file that stands alone. */
export function partName(path: string): PartName | null {
  const groups = PART_NAME.exec(basename(path))?.groups;
  if (groups === undefined) return null;
  const { stem, number, count } = groups;
  if (stem === undefined || number === undefined || count === undefined) return null;
  const part = { stem, number: Number(number), count: Number(count) };
  return part.number >= 1 && part.number <= part.count && part.count <= PARTS_MAX ? part : null;
}

const digits = (number: number): string => String(number).padStart(5, "0");

/** The paths of all parts of the model that `path` is a part of, first one first. Names the missing ones. */
export async function partPaths(path: string): Promise<readonly string[]> {
  const part = partName(path);
  if (part === null) return [path];
  const ending = basename(path).slice(-".gguf".length);
  const names = Array.from(
    { length: part.count },
    (_, index) => `${part.stem}-${digits(index + 1)}-of-${digits(part.count)}${ending}`,
  );
  const missing: string[] = [];
  for (const name of names) if (!(await isThere(join(dirname(path), name)))) missing.push(name);
  if (missing.length > 0) {
    const shown = missing.slice(0, MISSING_SHOWN_MAX).map((name) => plainText(name, 160));
    const more = missing.length - shown.length;
    throw brokenModel(
      path,
      `${missing.length} of the model's ${part.count} parts ${missing.length === 1 ? "is" : "are"} missing: ` +
        shown.join(", ") +
        (more > 0 ? ` and ${more} more` : ""),
      "put all parts into one folder",
    );
  }
  return names.map((name) => join(dirname(path), name));
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Refuses parts that do not make one whole model. */
export function checkParts(parts: readonly GuardedHeader[]): void {
  const [first] = parts;
  if (first === undefined) throw new Error("a model has at least one part");
  const told = first.metadata.splitCount ?? 1;
  if (parts.length === 1) {
    if (told > 1) {
      throw brokenModel(
        first.path,
        `its header says part ${(first.metadata.splitNumber ?? 0) + 1} of ${told}, its name does not`,
        "give the parts their names back (…-00001-of-0000N.gguf)",
      );
    }
    return;
  }
  parts.forEach((part, index) => checkPart(part, index, parts.length, first));
  const names = parts.flatMap((part) => part.tensors.map((tensor) => tensor.name));
  const claimed = first.metadata.splitTensorCount ?? names.length;
  if (new Set(names).size !== names.length || claimed !== names.length) {
    throw brokenModel(
      first.path,
      `its parts are of different models: ${names.length} tensors together, the header says ${claimed}`,
    );
  }
  checkWidths(parts);
}

function checkPart(part: GuardedHeader, index: number, count: number, first: GuardedHeader): void {
  const { splitNumber, splitCount, splitTensorCount, architecture } = part.metadata;
  if (splitNumber !== index || splitCount !== count) {
    const says = splitNumber === null || splitCount === null ? "no part at all" : `part ${splitNumber + 1} of ${splitCount}`;
    throw brokenModel(part.path, `its name says part ${index + 1} of ${count}, its header says ${says}`);
  }
  const otherModel =
    splitTensorCount !== first.metadata.splitTensorCount ||
    (architecture !== null && architecture !== first.metadata.architecture);
  if (otherModel) throw brokenModel(part.path, `a part of another model than ${plainText(basename(first.path), 160)}`);
}

/** Later parts carry no name to compare; the width of their layers' norms tells models of different size apart. */
function checkWidths(parts: readonly GuardedHeader[]): void {
  let width: number | undefined;
  for (const part of parts) {
    for (const tensor of part.tensors) {
      if (!/^blk\.\d+\.attn_norm\.weight$/u.test(tensor.name)) continue;
      width ??= tensor.dimensions[0];
      if (tensor.dimensions[0] !== width) {
        throw brokenModel(
          part.path,
          `a part of another model: its layers are ${tensor.dimensions[0]} wide, those before ${width}`,
        );
      }
    }
  }
}
