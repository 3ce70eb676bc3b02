import { encodeUint32, type MetadataEntry } from "./gguf-metadata.ts";
import { tensorBytes, type ModelToWrite } from "./write-model.ts";
import type { Tensor } from "./tensor.ts";

const UINT16 = 2;
const INT32 = 5;
const PARTS_MAX = 1024;

/** One file of a split model. */
export interface ModelPart {
  readonly path: string;
  readonly model: ModelToWrite;
}

/**
 * A model cut as llama.cpp's gguf-split does it (tools/gguf-split/gguf-split.cpp): all metadata in the first part, in every part its number from
 * 0, the number of parts and the number of all tensors; the tensors in their order, about as many bytes in each part. `headerFirst`: the first part
 * has metadata alone (gguf-split's `--no-tensor-first-split`).
 */
export function splitModel(out: string, model: ModelToWrite, count: number, headerFirst: boolean): readonly ModelPart[] {
  const shares = headerFirst ? count - 1 : count;
  if (shares < 1 || count > PARTS_MAX || shares > model.tensors.length)
    throw new Error(`${model.tensors.length} tensors cannot be split into ${count} parts.`);
  const runs = cut(model, shares);
  return (headerFirst ? [[], ...runs] : runs).map((tensors, index) => ({
    path: partPath(out, index + 1, count),
    model: {
      ...model,
      tensors,
      metadata: [...(index === 0 ? model.metadata : []), ...splitKeys(index, count, model.tensors.length)],
    },
  }));
}

const digits = (number: number): string => String(number).padStart(5, "0");

/** `model.gguf` → `model-00001-of-00003.gguf`, as `llama_split_path` names it. */
export function partPath(out: string, number: number, count: number): string {
  return `${out.replace(/\.gguf$/iu, "")}-${digits(number)}-of-${digits(count)}.gguf`;
}

/** Runs of tensors with about the same number of bytes, none of them empty. */
function cut(model: ModelToWrite, shares: number): readonly (readonly Tensor[])[] {
  const sizes = model.tensors.map((tensor) => tensorBytes(tensor, model.typeOf(tensor)));
  const total = sizes.reduce((sum, bytes) => sum + bytes, 0);
  const runs: Tensor[][] = [[]];
  let before = 0;
  for (const [index, tensor] of model.tensors.entries()) {
    const left = model.tensors.length - index;
    const isFull = before >= (total * runs.length) / shares || left === shares - runs.length;
    if (isFull && (runs.at(-1)?.length ?? 0) > 0 && runs.length < shares) runs.push([]);
    runs.at(-1)?.push(tensor);
    before += sizes[index] ?? 0;
  }
  return runs;
}

function splitKeys(index: number, count: number, tensors: number): readonly MetadataEntry[] {
  const short = (value: number): Buffer => {
    const bytes = Buffer.alloc(2);
    bytes.writeUInt16LE(value);
    return bytes;
  };
  return [
    { key: "split.no", type: UINT16, bytes: short(index) },
    { key: "split.count", type: UINT16, bytes: short(count) },
    { key: "split.tensors.count", type: INT32, bytes: encodeUint32(tensors) },
  ];
}
