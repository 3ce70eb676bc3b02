import { constants, crc32, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { shapeOfRequest } from "./command-rules.ts";
import { createFrameMemory } from "./frame-memory.ts";
import {
  BadFrame,
  COMMAND,
  PACKABLE_BYTES_MAX,
  PACKED_HEAD_BYTES,
  readSize,
  REQUEST_PREFIX_BYTES as AT,
  writeSize,
} from "./protocol.ts";
import { applyDifference, bytesOf, encodeDifference, WORD_BYTES } from "./word-difference.ts";

/** What both ends of a connection must mean by a packed frame; another number is another way. */
export const PACKING_VERSION = 1;
/** Frames of shapes and names. None of them bears what anybody wrote, nor what a model made of it: lengths tell nothing of that. */
const PACKABLE: ReadonlySet<number> = new Set([COMMAND.graphCompute, COMMAND.getAllocSize, COMMAND.initTensor, COMMAND.inject]);
/** Differences of fewer bytes are not worth zstd's time. */
const ZSTD_BYTES_MIN = 512;
const [AS_IT_IS, BY_ZSTD] = [0, 1];
/** The fastest level. */
const LEVEL = 1;
/** As far back as a difference goes: what asks for more memory is refused before it is taken. */
const WINDOW_LOG = 22;

/** The head's end of packing, for one connection. */
export interface FramePacker {
  /** Whether to collect the frame that begins so, to pack it. */
  takes(head: Buffer): boolean;
  /** The packed frame in its place, which must be sent then; null: it goes as it is. */
  pack(frame: Buffer): Buffer | null;
}

/** The worker's end, for one connection. */
export interface FrameUnpacker {
  /** The frame that was packed, a copy. Throws `BadFrame`. */
  unpack(packed: Buffer): Buffer;
}

export function createFramePacker(): FramePacker {
  const memory = createFrameMemory();
  return {
    takes: (head) => isPackable(head.readUInt8(0), readSize(head, 1)),
    pack(frame) {
      const command = frame.readUInt8(0);
      const payload = frame.subarray(AT);
      if (!isPackable(command, payload.length)) return null;
      const words = new Uint32Array(payload.length / WORD_BYTES);
      bytesOf(words).set(payload);
      const difference = encodeDifference(words, memory.find(command, payload.length));
      if (difference === null) return null;
      const shorter = difference.length < ZSTD_BYTES_MIN ? difference : compress(difference);
      const isCompressed = shorter.length < difference.length;
      const data = isCompressed ? shorter : difference;
      const bytes = PACKED_HEAD_BYTES + data.length;
      if (bytes >= payload.length) return null;
      memory.keep(command, words);
      const packed = Buffer.allocUnsafe(AT + bytes);
      packed.writeUInt8(COMMAND.packed, 0);
      writeSize(packed, 1, bytes);
      packed.writeUInt8(command, AT);
      packed.writeUInt8(isCompressed ? BY_ZSTD : AS_IT_IS, AT + 1);
      packed.writeUInt32LE(payload.length, AT + 2);
      packed.writeUInt32LE(crc32(payload), AT + 6);
      data.copy(packed, AT + PACKED_HEAD_BYTES);
      return packed;
    },
  };
}

export function createFrameUnpacker(): FrameUnpacker {
  const memory = createFrameMemory();
  return {
    unpack(packed) {
      const command = packed.readUInt8(AT);
      const form = packed.readUInt8(AT + 1);
      const payloadBytes = packed.readUInt32LE(AT + 2);
      if (!isPackable(command, payloadBytes) || payloadBytes <= packed.length - AT)
        throw new BadFrame(`the command ${command} of ${payloadBytes} bytes packed`);
      const frame = Buffer.allocUnsafe(AT + payloadBytes);
      frame.writeUInt8(command, 0);
      writeSize(frame, 1, payloadBytes);
      // Before anything is made of it.
      shapeOfRequest(frame.subarray(0, AT), true);
      const words = memory.find(command, payloadBytes)?.slice() ?? new Uint32Array(payloadBytes / WORD_BYTES);
      const data = packed.subarray(AT + PACKED_HEAD_BYTES);
      applyDifference(words, form === AS_IT_IS ? data : decompress(data, form, payloadBytes));
      const payload = bytesOf(words);
      if (crc32(payload) !== packed.readUInt32LE(AT + 6)) throw new BadFrame("a packed frame that is not what it was");
      memory.keep(command, words);
      payload.copy(frame, AT);
      return frame;
    },
  };
}

const isPackable = (command: number, payloadBytes: number): boolean =>
  PACKABLE.has(command) && payloadBytes <= PACKABLE_BYTES_MAX && payloadBytes % WORD_BYTES === 0;

function compress(difference: Buffer): Buffer {
  return zstdCompressSync(difference, {
    chunkSize: difference.length,
    params: { [constants.ZSTD_c_compressionLevel]: LEVEL, [constants.ZSTD_c_windowLog]: WINDOW_LOG },
  });
}

/** A difference is shorter than what it is of. */
function decompress(data: Buffer, form: number, payloadBytes: number): Buffer {
  if (form !== BY_ZSTD) throw new BadFrame(`a frame packed in the way ${form}`);
  try {
    return zstdDecompressSync(data, {
      maxOutputLength: payloadBytes,
      params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG },
    });
  } catch (error) {
    throw new BadFrame(`a packed frame that cannot be unpacked: ${(error as Error).message}`);
  }
}
