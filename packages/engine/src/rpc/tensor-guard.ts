import { BadFrame, readSize, TENSOR } from "./protocol.ts";

/** Elements of a block, by ggml's type number; 0: no such type (any more). */
const BLOCK_ELEMENTS: readonly number[] = [
  // f32, f16, q4_0, q4_1, -, -, q5_0, q5_1, q8_0, q8_1
  1, 1, 32, 32, 0, 0, 32, 32, 32, 32,
  // q2_K to q8_K, iq2_xxs, iq2_xs, iq3_xxs, iq1_s
  256, 256, 256, 256, 256, 256, 256, 256, 256, 256,
  // iq4_nl, iq3_s, iq2_s, iq4_xs, i8, i16, i32, i64, f64, iq1_m
  32, 256, 256, 256, 1, 1, 1, 1, 1, 256,
  // bf16, -, -, -, tq1_0, tq2_0, -, -, -, mxfp4
  1, 0, 0, 0, 256, 256, 0, 0, 0, 32,
  // nvfp4, q1_0, q2_0
  64, 128, 64,
];
/** Bytes of a block, only of the types whose block is one element: the others' strides tell. */
const ELEMENT_BYTES: ReadonlyMap<number, number> = new Map([
  [0, 4], [1, 2], [24, 1], [25, 2], [26, 4], [27, 8], [28, 8], [30, 2],
]); // prettier-ignore
const OPERATORS = 101;
/** Operators that call a pointer out of their parameters: MAP_CUSTOM1 to CUSTOM. */
const [FIRST_CUSTOM, LAST_CUSTOM] = [92, 95];
/** An engine takes a handful; a head that wants more wants something else. */
const BUFFERS_MAX = 4096;

interface HeldBuffer {
  readonly bytes: number;
  /** Address of its first byte; NaN as long as nobody has asked. */
  base: number;
}

/** The memory that an engine has given out over one connection, and what may be done with it. Throws `BadFrame`. */
export interface TensorGuard {
  /** Before an allocation goes to the engine. */
  allocating(bytes: number): void;
  allocated(handle: number, asked: number, bytes: number): void;
  placed(handle: number, base: number): void;
  freed(handle: number): void;
  /** A buffer that the engine has given out. */
  known(handle: number): void;
  /** A tensor as such; `bytes` at `offset` of its data, where some are read or written. */
  tensor(frame: Buffer, at: number, access?: { readonly offset: number; readonly bytes: number }): void;
  /** Bytes that are given out. */
  readonly bytes: number;
}

/** `bytesMax`: what the connection may take of the machine's memory in all. */
export function createTensorGuard(bytesMax: number): TensorGuard {
  const buffers = new Map<number, HeldBuffer>();
  let total = 0;
  /** Asked for and not yet answered. */
  let asked = 0;
  const find = (handle: number): HeldBuffer => {
    const buffer = buffers.get(handle);
    if (buffer === undefined) throw new BadFrame("a buffer that was not given out");
    return buffer;
  };
  return {
    allocating(bytes) {
      if (!(total + asked + bytes <= bytesMax))
        throw new BadFrame(`${total + asked + bytes} bytes wanted, the stage may take ${bytesMax}`);
      if (buffers.size >= BUFFERS_MAX) throw new BadFrame(`more than ${BUFFERS_MAX} buffers wanted`);
      asked += bytes;
    },
    allocated(handle, wanted, bytes) {
      asked -= wanted;
      // It has no more memory, and has said so by a null.
      if (handle === 0) return;
      if (buffers.has(handle) || !(handle > 0) || !(bytes >= 0)) throw new BadFrame("the engine gave out the same buffer twice");
      buffers.set(handle, { bytes, base: NaN });
      total += bytes;
    },
    placed(handle, base) {
      find(handle).base = base;
    },
    freed(handle) {
      total -= find(handle).bytes;
      buffers.delete(handle);
    },
    known(handle) {
      find(handle);
    },
    tensor(frame, at, access) {
      const type = frame.readUInt32LE(at + TENSOR.type);
      const block = BLOCK_ELEMENTS[type] ?? 0;
      if (block === 0) throw new BadFrame(`a tensor of type ${type}`);
      if (frame.readUInt32LE(at + TENSOR.dimensions) % block !== 0) throw new BadFrame("a tensor of broken blocks");
      const operator = frame.readUInt32LE(at + TENSOR.operator);
      if (operator >= OPERATORS || (operator >= FIRST_CUSTOM && operator <= LAST_CUSTOM))
        throw new BadFrame(`a tensor made by operator ${operator}`);
      const handle = readSize(frame, at + TENSOR.buffer);
      const data = readSize(frame, at + TENSOR.data);
      if (handle === 0) {
        if (access !== undefined) throw new BadFrame("data of a tensor without a buffer");
        return;
      }
      const { base, bytes } = find(handle);
      const start = data - base;
      const extent = tensorExtent(frame, at, type, block);
      if (!(start >= 0 && start + extent <= bytes)) throw new BadFrame("a tensor beyond its buffer");
      if (access !== undefined && !(access.offset >= 0 && access.bytes >= 0 && access.offset + access.bytes <= bytes - start))
        throw new BadFrame("data beyond a tensor's buffer");
    },
    get bytes() {
      return total;
    },
  };
}

/** Bytes from a tensor's first to its last, as `ggml_nbytes` counts them. */
function tensorExtent(frame: Buffer, at: number, type: number, block: number): number {
  const dimension = (index: number): number => frame.readUInt32LE(at + TENSOR.dimensions + 4 * index);
  const stride = (index: number): number => frame.readUInt32LE(at + TENSOR.strides + 4 * index);
  let extent = block === 1 ? (ELEMENT_BYTES.get(type) ?? 8) : (dimension(0) * stride(0)) / block;
  for (let index = 0; index < 4; index++) {
    if (dimension(index) === 0) return 0;
    if (index > 0 || block === 1) extent += (dimension(index) - 1) * stride(index);
  }
  return extent;
}
