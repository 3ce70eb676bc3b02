import { COMMAND, REQUEST_PREFIX_BYTES, TENSOR, TENSOR_BYTES, writeSize } from "../protocol.ts";

/** A request as a head sends it. */
export function request(command: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const bytes = Buffer.alloc(REQUEST_PREFIX_BYTES + payload.length);
  bytes.writeUInt8(command, 0);
  writeSize(bytes, 1, payload.length);
  payload.copy(bytes, REQUEST_PREFIX_BYTES);
  return bytes;
}

/** An answer as an engine sends it. */
export function answer(payload: Buffer): Buffer {
  return Buffer.concat([u64(payload.length), payload]);
}

export function u32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [index, value] of values.entries()) bytes.writeUInt32LE(value, 4 * index);
  return bytes;
}

export function u64(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(8 * values.length);
  for (const [index, value] of values.entries()) writeSize(bytes, 8 * index, value);
  return bytes;
}

export interface TensorSpec {
  readonly name?: string;
  readonly type?: number;
  readonly buffer?: number;
  readonly data?: number;
  readonly dimensions?: readonly [number, number, number, number];
  readonly operator?: number;
}

/** A tensor of single floats, contiguous, unless said otherwise. */
export function tensor(spec: TensorSpec): Buffer {
  const { name = "t", type = 0, buffer = 0, data = 0, dimensions = [4, 1, 1, 1], operator = 0 } = spec;
  const bytes = Buffer.alloc(TENSOR_BYTES);
  writeSize(bytes, 0, 1);
  bytes.writeUInt32LE(type, TENSOR.type);
  writeSize(bytes, TENSOR.buffer, buffer);
  let stride = 4;
  for (const [index, count] of dimensions.entries()) {
    bytes.writeUInt32LE(count, TENSOR.dimensions + 4 * index);
    bytes.writeUInt32LE(stride, TENSOR.strides + 4 * index);
    stride *= count;
  }
  bytes.writeUInt32LE(operator, TENSOR.operator);
  writeSize(bytes, TENSOR.data, data);
  bytes.write(name, TENSOR.name, TENSOR.nameBytes - 1, "latin1");
  return bytes;
}

export const hello = (): Buffer => request(COMMAND.hello, Buffer.alloc(24));
export const helloAnswer = (major: number = 7): Buffer =>
  answer(Buffer.concat([Buffer.from([major, 0, 0, 0]), Buffer.alloc(24)]));
export const setTensor = (of: TensorSpec, data: Buffer, offset = 0): Buffer =>
  request(COMMAND.setTensor, Buffer.concat([tensor(of), Buffer.of(0), u64(offset), data]));
export const setTensorHash = (of: TensorSpec): Buffer => request(COMMAND.setTensorHash, Buffer.concat([tensor(of), u64(0, 0)]));
export const getTensor = (of: TensorSpec, bytes: number, offset = 0): Buffer =>
  request(COMMAND.getTensor, Buffer.concat([tensor(of), u64(offset, bytes)]));
export const graph = (tensors: readonly TensorSpec[], nodes: number = tensors.length): Buffer =>
  request(
    COMMAND.graphCompute,
    Buffer.concat([u32(0, nodes), Buffer.alloc(8 * nodes, 1), u32(tensors.length), ...tensors.map(tensor)]),
  );
export const recompute = (): Buffer => request(COMMAND.graphRecompute, u32(0));
