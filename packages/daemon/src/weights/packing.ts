import { promisify } from "node:util";
import { constants, zstdCompress, zstdDecompress } from "node:zlib";
import { ClusterdError } from "@clusterd/wire";

/** The most of an answer that is packed, and unpacked, at a time. */
export const SLICE_BYTES: number = 1024 * 1024;
/** The fastest level: of weights, whose bytes hardly ever repeat, the others gain no more. */
const LEVEL = 1;
/** As far back as a slice goes: what asks for a larger window is refused before the memory for it is. */
const WINDOW_LOG = 20;
/** A slice is sent packed where that makes it smaller by at least this share. */
const GAIN_MIN = 0.015;
/** Beside a slice, for what zstd adds to what it cannot pack. */
const SPARE_BYTES = 8 * 1024;

const compress = promisify<Buffer, object, Buffer>(zstdCompress);
const decompress = promisify<Buffer, object, Buffer>(zstdDecompress);

/** A slice packed, in the thread pool; null where that gains too little. */
export async function packSlice(plain: Buffer): Promise<Buffer | null> {
  const packed = await compress(plain, {
    chunkSize: plain.length + SPARE_BYTES,
    params: { [constants.ZSTD_c_compressionLevel]: LEVEL, [constants.ZSTD_c_windowLog]: WINDOW_LOG },
  });
  return packed.length <= plain.length * (1 - GAIN_MIN) ? packed : null;
}

/**
 * A slice as it was, in the thread pool. What is longer or shorter than it must be, or would take more memory than a slice does, throws
 * `invalid_request`.
 */
export async function unpackSlice(packed: Buffer, plainBytes: number): Promise<Buffer> {
  if (plainBytes > SLICE_BYTES) throw wrong("it is too large");
  let plain: Buffer;
  try {
    plain = await decompress(packed, {
      chunkSize: Math.max(64, plainBytes),
      maxOutputLength: plainBytes,
      params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG },
    });
  } catch (error) {
    throw wrong((error as Error).message);
  }
  if (plain.length !== plainBytes) throw wrong(`it is ${plain.length} bytes, not ${plainBytes}`);
  return plain;
}

function wrong(why: string): ClusterdError {
  return new ClusterdError("invalid_request", `A packed slice is not what it must be: ${why}.`);
}

/** After how many slices in a row that packing did not help, and for how many it is then left, at first and at most. */
const USELESS_MAX = 4;
const REST_MIN = 4;
const REST_MAX = 512;

/**
 * Whether to pack: a sample of slices shows whether a model's bytes can be packed, and whether that is done before the link has taken
 * what went before. Where either is not so, packing rests, longer and longer, and is tried again.
 */
export interface PackingSense {
  /** Asked once for each slice. */
  worthTrying(): boolean;
  /** How it went: `gained` is sent packed, `useless` did not become smaller, `late` would have held up the link. */
  tell(how: "gained" | "useless" | "late"): void;
}

export function createPackingSense(): PackingSense {
  let inVain = 0;
  let resting = 0;
  let rest = REST_MIN;
  return {
    worthTrying() {
      if (resting === 0) return true;
      resting -= 1;
      return false;
    },
    tell(how) {
      if (how === "gained") {
        inVain = 0;
        rest = REST_MIN;
        return;
      }
      inVain += 1;
      if (inVain < USELESS_MAX) return;
      resting = rest;
      rest = Math.min(REST_MAX, rest * 2);
      // One that does not help after a rest is enough for another.
      inVain = USELESS_MAX - 1;
    },
  };
}
