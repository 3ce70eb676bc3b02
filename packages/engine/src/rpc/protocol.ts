// llama.cpp's RPC as of protocol 7: `command u8 | size u64 | payload` one way, `size u64 | payload` the other, all little-endian. The
// layout is asserted when the engine is compiled (cmake/rpc-facts.cpp).

export const RPC_PROTOCOL_MAJOR = 7;
/** A request's command and size. */
export const REQUEST_PREFIX_BYTES = 9;
/** A response's size. */
export const RESPONSE_PREFIX_BYTES = 8;

export const TENSOR_BYTES = 296;
/** Where a tensor's fields are in those bytes. */
export const TENSOR = {
  type: 8,
  buffer: 12,
  dimensions: 20,
  strides: 36,
  operator: 52,
  data: 220,
  name: 228,
  nameBytes: 64,
} as const;

export const COMMAND = {
  allocBuffer: 0,
  getAlignment: 1,
  getMaxSize: 2,
  bufferGetBase: 3,
  freeBuffer: 4,
  bufferClear: 5,
  setTensor: 6,
  setTensorHash: 7,
  getTensor: 8,
  copyTensor: 9,
  graphCompute: 10,
  getDeviceMemory: 11,
  initTensor: 12,
  getAllocSize: 13,
  hello: 14,
  deviceCount: 15,
  graphRecompute: 16,
  memsetTensor: 17,
  // Between our relays only; an engine never sees them.
  ping: 0xc0,
  /** tensor | offset u64 | size u64: a weight that the worker has itself. */
  inject: 0xc1,
  /** command u8 | form u8 | payload bytes u32 | CRC-32 of the payload u32 | what it differs in: another frame, made small. */
  packed: 0xc2,
} as const;

/** In place of a response's size, between our relays only. */
export const PONG: bigint = 0xffff_ffff_ffff_ffffn;
/** A weight was injected. */
export const INJECTED: bigint = 0xffff_ffff_ffff_fffen;

export const SET_TENSOR_HEAD_BYTES: number = TENSOR_BYTES + 1 + 8;
export const INJECT_BYTES: number = TENSOR_BYTES + 8 + 8;
export const PACKED_HEAD_BYTES = 10;
export const GRAPH_HEAD_BYTES = 8;
/** A graph of a thousand nodes is some 700 KB. */
export const GRAPH_BYTES_MAX: number = 64 * 1024 * 1024;
/** What a frame may have to travel packed: a graph of some five thousand nodes. Larger ones stream by as they are. */
export const PACKABLE_BYTES_MAX: number = 4 * 1024 * 1024;
/** One tensor of the largest models is a few gigabytes. */
export const TENSOR_DATA_BYTES_MAX: number = 64 * 1024 ** 3;

/** The most bytes of one frame that must be in one piece. */
export const HEAD_BYTES_MAX: number = REQUEST_PREFIX_BYTES + 4 + 11 * TENSOR_BYTES;

/** A tunnel's bytes are not what they must be: it ends, and nothing else. */
export class BadFrame extends Error {
  override readonly name = "BadFrame";
}

/** A u64 as a number; NaN where it is beyond what a number holds exactly (no address or size of a real machine is). */
export function readSize(bytes: Buffer, at: number): number {
  const high = bytes.readUInt32LE(at + 4);
  return high >= 0x20_0000 ? NaN : high * 0x1_0000_0000 + bytes.readUInt32LE(at);
}

export function writeSize(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt32LE(value % 0x1_0000_0000, at);
  bytes.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4);
}

/** The name of the tensor at `at`, up to its NUL. */
export function tensorName(bytes: Buffer, at: number): string {
  const start = at + TENSOR.name;
  const end = bytes.indexOf(0, start);
  return bytes.toString("latin1", start, end < 0 || end > start + TENSOR.nameBytes ? start + TENSOR.nameBytes : end);
}
