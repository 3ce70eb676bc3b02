import { open, type FileHandle } from "node:fs/promises";
import { encodeText, encodeUint32, encodeUint64, type MetadataEntry } from "./gguf-metadata.ts";
import { normalBlocks, randomBlocks, weightType } from "./random-weights.ts";
import type { Tensor } from "./tensor.ts";

const ALIGNMENT = 32;

export interface ModelToWrite {
  readonly metadata: readonly MetadataEntry[];
  readonly tensors: readonly Tensor[];
  /** The type of a tensor's weights, by name. */
  typeOf(tensor: Tensor): string;
  readonly seed: number;
  /** Numbers in q8_0 are spread as a trained model's are; absent: all bits of them are random. */
  readonly isNormal?: boolean;
  /** Only the header is written; what follows is a hole. */
  readonly headerOnly: boolean;
}

const elements = ({ shape }: Tensor): number => shape.reduce((product, size) => product * size, 1);

/** Bytes of a tensor in that type; rows are whole blocks. */
export function tensorBytes(tensor: Tensor, type: string): number {
  const { blockElements, blockBytes } = weightType(type);
  return (elements(tensor) / blockElements) * blockBytes;
}

const padded = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

function header(model: ModelToWrite): Buffer {
  let offset = 0;
  const infos = model.tensors.map((tensor) => {
    const type = model.typeOf(tensor);
    const info = Buffer.concat([
      encodeText(tensor.name),
      encodeUint32(tensor.shape.length),
      ...tensor.shape.map(encodeUint64),
      encodeUint32(weightType(type).type),
      encodeUint64(offset),
    ]);
    offset += padded(tensorBytes(tensor, type));
    return info;
  });
  const whole = Buffer.concat([
    Buffer.from("GGUF"),
    encodeUint32(3),
    encodeUint64(model.tensors.length),
    encodeUint64(model.metadata.length),
    ...model.metadata.flatMap(({ key, type, bytes }) => [encodeText(key), encodeUint32(type), bytes]),
    ...infos,
  ]);
  return Buffer.concat([whole, Buffer.alloc(padded(whole.length) - whole.length)]);
}

/** Writes the file; gives its length, holes included, in bytes. */
export async function writeModel(path: string, model: ModelToWrite): Promise<number> {
  await using file = await open(path, "w");
  const start = header(model);
  await file.write(start);
  let at = start.length;
  for (const tensor of model.tensors) {
    const type = model.typeOf(tensor);
    if (!model.headerOnly) await writeTensor(file, at, tensor, type, model.seed, model.isNormal ?? false);
    at += padded(tensorBytes(tensor, type));
  }
  // The last tensor's padding, or all of the weights, as a hole.
  await file.truncate(at);
  return at;
}

async function writeTensor(
  file: FileHandle,
  position: number,
  tensor: Tensor,
  type: string,
  seed: number,
  isNormal: boolean,
): Promise<void> {
  let at = position;
  const write = async (chunk: Uint8Array): Promise<void> => {
    await file.write(chunk, 0, chunk.length, at);
    at += chunk.length;
  };
  const { fill, shape } = tensor;
  if ("value" in fill) return write(new Uint8Array(new Float32Array(elements(tensor)).fill(fill.value).buffer));
  if ("passed" in fill) return write(new Uint8Array(passing(shape).buffer));
  const { blockElements } = weightType(type);
  const random = (count: number): Iterable<Buffer> => {
    const name = `${seed} ${"rowsOf" in fill ? fill.rowsOf : tensor.name}`;
    const make = isNormal && type === "q8_0" ? normalBlocks : randomBlocks.bind(null, type);
    return make(count / blockElements, fill.spread, name);
  };
  if (!("rowsOf" in fill)) {
    for (const chunk of random(elements(tensor))) await write(chunk);
    return;
  }
  // The last row goes round to the beginning, and the others follow it.
  const end = position + tensorBytes(tensor, type);
  let around = position;
  at += tensorBytes({ ...tensor, shape: shape.slice(0, 1) }, type);
  for (const chunk of random(elements(tensor))) {
    const within = Math.min(chunk.length, end - at);
    await write(chunk.subarray(0, within));
    await file.write(chunk, within, chunk.length - within, around);
    around += chunk.length - within;
  }
}

/** Ones where a number's row is its column: what is wider than high passes its first part. */
function passing([width = 0, height = 0]: readonly number[]): Float32Array {
  const numbers = new Float32Array(width * height);
  for (let row = 0; row < height; row++) numbers[row * width + row] = 1;
  return numbers;
}
