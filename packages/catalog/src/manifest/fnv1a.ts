/**
 * FNV-1a with 64 bits, as llama.cpp's RPC hashes a tensor that it asks about (`fnv_hash` in ggml-rpc.cpp): for each byte, the hash is
 * xored with it and multiplied by the prime, modulo 2^64. JavaScript has no such product; 32-bit halves make a fifth of the speed of
 * this loop, which is a WebAssembly module of 95 bytes, written by hand:
 *
 *     (module
 *       (memory (export "memory") 16)
 *       (func (export "fnv1a") (param $at i32) (param $end i32) (param $hash i64) (result i64)
 *         block loop
 *           (br_if 1 (i32.ge_u $at $end))
 *           (local.set $hash (i64.mul (i64.xor $hash (i64.load8_u $at)) (i64.const 0x100000001b3)))
 *           (local.set $at (i32.add $at (i32.const 1)))
 *           (br 0)
 *         end end
 *         $hash))
 */
const LOOP: readonly number[] = [
  0x00, // no further locals
  ...[0x02, 0x40, 0x03, 0x40], // block, loop
  ...[0x20, 0, 0x20, 1, 0x4f, 0x0d, 1], // at >= end: leave
  ...[0x20, 2, 0x20, 0, 0x31, 0, 0, 0x85], // hash xor the byte
  ...[0x42, 0xb3, 0x83, 0x80, 0x80, 0x80, 0x20, 0x7e, 0x21, 2], // times the prime
  ...[0x20, 0, 0x41, 1, 0x6a, 0x21, 0, 0x0c, 0], // at + 1, again
  ...[0x0b, 0x0b, 0x20, 2, 0x0b], // the hash
];
const MODULE: Uint8Array<ArrayBuffer> = Uint8Array.from([
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...[1, 8, 1, 0x60, 3, 0x7f, 0x7f, 0x7e, 1, 0x7e], // (i32, i32, i64) -> i64
  ...[3, 2, 1, 0],
  ...[5, 3, 1, 0, 16], // 16 pages: 1 MiB
  ...[7, 18, 2, 6, ...Buffer.from("memory"), 2, 0, 5, ...Buffer.from("fnv1a"), 0, 0],
  ...[10, LOOP.length + 2, 1, LOOP.length, ...LOOP],
]);

const BASIS = 0xcbf2_9ce4_8422_2325n;
const PRIME = 0x100_0000_01b3n;
const BITS = 64;

interface Loop {
  readonly memory: Uint8Array;
  readonly run: (at: number, end: number, hash: bigint) => bigint;
}

let made: Loop | null = null;

/** Made when it is first needed, and shared: nothing of a hash stays in it. */
function loop(): Loop {
  if (made !== null) return made;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(MODULE));
  const { memory, fnv1a } = exports as { memory: WebAssembly.Memory; fnv1a: Loop["run"] };
  return (made = { memory: new Uint8Array(memory.buffer), run: fnv1a });
}

export interface Fnv1a {
  update(bytes: Uint8Array): void;
  /** 16 hexadecimal digits. */
  digest(): string;
}

export function createFnv1a(): Fnv1a {
  let hash = BASIS;
  return {
    update(bytes) {
      const { memory, run } = loop();
      for (let at = 0; at < bytes.length; at += memory.length) {
        const piece = bytes.subarray(at, at + memory.length);
        memory.set(piece);
        hash = run(0, piece.length, hash);
      }
    },
    digest: () => fnvText(hash),
  };
}

/** The hash of so many zeros, of which each only multiplies: what a head's engine makes of a hole in its file. */
export function fnv1aOfZeros(bytes: number): string {
  let [hash, power] = [BASIS, PRIME];
  for (let left = BigInt(bytes); left > 0n; left >>= 1n) {
    if ((left & 1n) === 1n) hash = BigInt.asUintN(BITS, hash * power);
    power = BigInt.asUintN(BITS, power * power);
  }
  return fnvText(hash);
}

/** A hash as manifests have it. */
export const fnvText = (hash: bigint): string => BigInt.asUintN(BITS, hash).toString(16).padStart(16, "0");
