import { createCipheriv, createHash, type Cipheriv } from "node:crypto";

/** How a type's random blocks are made: bytes of one block are random, then these of them are set for the spread wanted. */
interface BlockRecipe {
  readonly type: number;
  readonly blockElements: number;
  readonly blockBytes: number;
  set(block: DataView, at: number, spread: number): void;
}

/** A number as a half-precision float; what is too small for a normal one becomes the smallest. */
function halfBits(value: number): number {
  const exponent = Math.floor(Math.log2(value));
  if (exponent < -14) return 1 << 10;
  return ((exponent + 15) << 10) + Math.min(1023, Math.round((value / 2 ** exponent - 1) * 1024));
}

/** Spread of the numbers 1 … 2 with either sign, which is what a fixed exponent over random bits gives. */
const SPREAD_OF_ONE = Math.sqrt(7 / 3);
const exponentFor = (spread: number): number => Math.round(Math.log2(spread / SPREAD_OF_ONE));

/** Random bits under a fixed exponent: no number is out of range or without meaning. */
const f32: BlockRecipe = {
  type: 0,
  blockElements: 1,
  blockBytes: 4,
  set: (view, at, spread) =>
    view.setUint32(at, ((view.getUint32(at, true) & 0x807fffff) | ((exponentFor(spread) + 127) << 23)) >>> 0, true),
};
const f16: BlockRecipe = {
  type: 1,
  blockElements: 1,
  blockBytes: 2,
  set: (view, at, spread) =>
    view.setUint16(at, (view.getUint16(at, true) & 0x83ff) | (Math.max(1, exponentFor(spread) + 15) << 10), true),
};
const bf16: BlockRecipe = {
  type: 30,
  blockElements: 1,
  blockBytes: 2,
  set: (view, at, spread) => view.setUint16(at, (view.getUint16(at, true) & 0x807f) | ((exponentFor(spread) + 127) << 7), true),
};

/** A quantised type whose scale is a half-precision float at `scaleAt`, `unit` being the spread of its random numbers at scale 1. */
const scaled = (type: number, blockElements: number, blockBytes: number, scaleAt: number, unit: number): BlockRecipe => ({
  type,
  blockElements,
  blockBytes,
  set: (view, at, spread) => view.setUint16(at + scaleAt, halfBits(spread / unit), true),
});

/** Spreads at scale 1 follow from ggml's block layouts with all other bits random. */
const RECIPES: ReadonlyMap<string, BlockRecipe> = new Map<string, BlockRecipe>([
  ["f32", f32],
  ["f16", f16],
  ["bf16", bf16],
  ["q4_0", scaled(2, 32, 18, 0, Math.sqrt(21.5))],
  ["q8_0", scaled(8, 32, 34, 0, 73.9)],
  ["q6_k", scaled(14, 256, 210, 208, 73.9 * 18.5)],
  [
    "q4_k",
    {
      type: 12,
      blockElements: 256,
      blockBytes: 144,
      set(view, at, spread) {
        // Scale × 0…63 × 0…15 less minimum × 0…63: an eightfold minimum centres it.
        view.setUint16(at, halfBits(spread / 260), true);
        view.setUint16(at + 2, halfBits((7.5 * spread) / 260), true);
      },
    },
  ],
  [
    "mxfp4",
    {
      type: 39,
      blockElements: 32,
      blockBytes: 17,
      set: (view, at, spread) => view.setUint8(at, Math.max(1, Math.round(Math.log2(spread / 5.85)) + 128)),
    },
  ],
]);

/** 65,536 equally likely draws from the standard normal distribution. */
const normalDraws = (): Float32Array => Float32Array.from({ length: 65_536 }, (_, draw) => quantile((draw + 0.5) / 65_536));

/** The standard normal distribution's quantile, to a few thousandths (Abramowitz and Stegun, 26.2.23). */
function quantile(share: number): number {
  const t = Math.sqrt(-2 * Math.log(Math.min(share, 1 - share)));
  const size = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  return share < 0.5 ? -size : size;
}

/**
 * q8_0 blocks of normally distributed numbers, as a trained model's are about: what packs bytes finds as much in them (zstd: 3.6 %) as in
 * real weights, where it finds nothing in random bits.
 */
export function* normalBlocks(blocks: number, spread: number, seed: string): Generator<Buffer> {
  const table = normalDraws();
  const key = createHash("sha256").update(seed).digest();
  const cipher = createCipheriv("aes-256-ctr", key, Buffer.alloc(16));
  const zeros = Buffer.alloc(CHUNK_BLOCKS * 64);
  for (let left = blocks; left > 0; left -= CHUNK_BLOCKS) {
    const count = Math.min(left, CHUNK_BLOCKS);
    const random = cipher.update(zeros.subarray(0, count * 64));
    const draws = new Uint16Array(random.buffer, random.byteOffset, count * 32);
    const chunk = Buffer.allocUnsafe(count * 34);
    for (let from = 0, at = 0; from < draws.length; from += 32) {
      let largest = 0;
      for (let index = from; index < from + 32; index++) largest = Math.max(largest, Math.abs(table[draws[index] ?? 0] ?? 0));
      const unit = largest / 127;
      at = chunk.writeUInt16LE(halfBits(unit * spread), at);
      for (let index = from; index < from + 32; index++) chunk[at++] = Math.round((table[draws[index] ?? 0] ?? 0) / unit);
    }
    yield chunk;
  }
}

export const WEIGHT_TYPES: readonly string[] = [...RECIPES.keys()];

/** A type by its name. */
export function weightType(name: string): Pick<BlockRecipe, "type" | "blockElements" | "blockBytes"> {
  const recipe = RECIPES.get(name);
  if (recipe === undefined) throw new Error(`There is no weight type ${name}: ${WEIGHT_TYPES.join(", ")}.`);
  return recipe;
}

const CHUNK_BLOCKS = 32_768;

/** Blocks of random weights in chunks, the same for the same seed and tensor name. */
export function* randomBlocks(typeName: string, blocks: number, spread: number, seed: string): Generator<Buffer> {
  const recipe = RECIPES.get(typeName);
  if (recipe === undefined) throw new Error(`There is no weight type ${typeName}.`);
  const key = createHash("sha256").update(seed).digest();
  const cipher: Cipheriv = createCipheriv("aes-256-ctr", key, Buffer.alloc(16));
  const zeros = Buffer.alloc(CHUNK_BLOCKS * recipe.blockBytes);
  for (let left = blocks; left > 0; left -= CHUNK_BLOCKS) {
    const chunk = cipher.update(zeros.subarray(0, Math.min(left, CHUNK_BLOCKS) * recipe.blockBytes));
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    for (let at = 0; at < chunk.length; at += recipe.blockBytes) recipe.set(view, at, spread);
    yield chunk;
  }
}
