import { brokenModel } from "./broken-model.ts";
import type { HeaderCursor } from "./header-cursor.ts";
import { DIMENSIONS_MAX, TENSOR_NAME_BYTES_MAX } from "./limits.ts";
import { plainText } from "./plain-text.ts";
import { TENSOR_TYPES } from "./tensor-types.ts";

/** One tensor of a file: its place is `offset` bytes after the start of the file's tensor data. */
export interface Tensor {
  readonly name: string;
  readonly type: number;
  readonly dimensions: readonly number[];
  readonly offset: number;
  readonly bytes: number;
}

const UP = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple;

/**
 * Walks over the tensor table. llama.cpp wants the tensors one after the other, each at the next multiple of the
 * alignment: what overlaps or leaves a gap does not load, and is refused here.
 */
export async function walkTensors(
  cursor: HeaderCursor,
  count: number,
  alignment: number,
  path: string,
): Promise<readonly Tensor[]> {
  const tensors: Tensor[] = [];
  const names = new Set<string>();
  let expectedOffset = 0;
  for (let index = 0; index < count; index += 1) {
    const tensor = await walkTensor(cursor, index, path);
    if (names.has(tensor.name)) throw brokenModel(path, `its header is corrupt: tensor "${shown(tensor.name)}" is listed twice`);
    if (tensor.offset !== expectedOffset) {
      const how = tensor.offset < expectedOffset ? "overlaps the one before it" : "does not follow the one before it";
      throw brokenModel(path, `its header is corrupt: tensor "${shown(tensor.name)}" ${how}`);
    }
    expectedOffset = UP(tensor.offset + tensor.bytes, alignment);
    if (!Number.isSafeInteger(expectedOffset)) throw absurd(path, tensor.name);
    names.add(tensor.name);
    tensors.push(tensor);
  }
  return tensors;
}

async function walkTensor(cursor: HeaderCursor, index: number, path: string): Promise<Tensor> {
  await cursor.fill(8);
  const nameBytes = cursor.u64();
  if (nameBytes > TENSOR_NAME_BYTES_MAX) {
    throw brokenModel(path, `its header is corrupt: tensor ${index + 1} claims a name of ${nameBytes} bytes`);
  }
  await cursor.fill(nameBytes + 4);
  const name = cursor.text(nameBytes);
  // The engine's names end at a zero: two that differ behind it would be one.
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u001F\u007F]/u.test(name))
    throw brokenModel(path, `its header is corrupt: tensor ${index + 1} has unprintable characters in its name`);
  const dimensionCount = cursor.u32();
  if (dimensionCount > DIMENSIONS_MAX) {
    throw brokenModel(path, `its header is corrupt: tensor "${shown(name)}" claims ${dimensionCount} dimensions`);
  }
  await cursor.fill(dimensionCount * 8 + 12);
  const dimensions = Array.from({ length: dimensionCount }, () => cursor.u64());
  const type = cursor.u32();
  const offset = cursor.u64();
  return { name, type, dimensions, offset, bytes: tensorBytes(name, type, dimensions, path) };
}

/** A tensor's size: rows of whole blocks (ggml's `ggml_nbytes` for a tensor as files hold it). */
function tensorBytes(name: string, type: number, dimensions: readonly number[], path: string): number {
  const layout = TENSOR_TYPES.get(type);
  if (layout === undefined) {
    throw brokenModel(
      path,
      `tensor "${shown(name)}" has the type ${type}, which the engine does not know`,
      "update clusterd, or use another quantisation",
    );
  }
  // Also beside a side of 0, which makes the product small.
  if (!dimensions.every(Number.isSafeInteger)) throw absurd(path, name);
  const row = dimensions[0] ?? 1;
  if (row % layout.blockElements !== 0) {
    throw brokenModel(
      path,
      `its header is corrupt: tensor "${shown(name)}" has rows of ${row} elements, not whole ${layout.name} blocks`,
    );
  }
  const bytes =
    dimensions.slice(1).reduce((product, dimension) => product * dimension, row / layout.blockElements) * layout.blockBytes;
  if (!Number.isSafeInteger(bytes)) throw absurd(path, name);
  return bytes;
}

const shown = (name: string): string => plainText(name, TENSOR_NAME_BYTES_MAX);

const absurd = (path: string, name: string): Error =>
  brokenModel(path, `its header is corrupt: tensor "${shown(name)}" claims more than any machine holds`);
