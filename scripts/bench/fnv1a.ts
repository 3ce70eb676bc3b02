// FNV-1a, as llama.cpp's RPC hashes tensors: our WebAssembly loop, the same in 32-bit halves of plain JavaScript, and SHA-256 beside them.
// Usage: node scripts/bench/fnv1a.ts
import { createHash, randomBytes } from "node:crypto";
import { createFnv1a } from "../../packages/catalog/src/manifest/fnv1a.ts";

const CHUNK_BYTES = 1024 * 1024;
const CHUNKS = 64;
const ROUNDS = 7;
const PRIME_LOW = 0x1b3;
const chunk = randomBytes(CHUNK_BYTES);

/** hash × (2⁴⁰ + 0x1b3): the lower half times 0x1b3 has 41 bits, which a number holds. */
function inHalves(bytes: Uint8Array, from: readonly [high: number, low: number]): [high: number, low: number] {
  let [high, low] = from;
  for (const byte of bytes) {
    low = (low ^ byte) >>> 0;
    const product = low * PRIME_LOW;
    high = (Math.imul(high, PRIME_LOW) + (low << 8) + Math.floor(product / 0x1_0000_0000)) | 0;
    low = product >>> 0;
  }
  return [high, low];
}

const hashes: Readonly<Record<string, () => string>> = {
  "FNV-1a, WebAssembly": () => {
    const hash = createFnv1a();
    for (let at = 0; at < CHUNKS; at++) hash.update(chunk);
    return hash.digest();
  },
  "FNV-1a, 32-bit halves": () => {
    let halves: [number, number] = [0xcbf29ce4, 0x84222325];
    for (let at = 0; at < CHUNKS; at++) halves = inHalves(chunk, halves);
    return halves.map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("");
  },
  "SHA-256": () => {
    const hash = createHash("sha256");
    for (let at = 0; at < CHUNKS; at++) hash.update(chunk);
    return hash.digest("hex");
  },
};

const rates = new Map<string, number[]>();
const digests = new Map<string, string>();
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, hash] of Object.entries(hashes)) {
    const begunMs = performance.now();
    digests.set(name, hash());
    rates.set(name, [...(rates.get(name) ?? []), (CHUNKS * CHUNK_BYTES) / 1000 / (performance.now() - begunMs)]);
  }
}
if (digests.get("FNV-1a, WebAssembly") !== digests.get("FNV-1a, 32-bit halves")) throw new Error("two hashes of the same bytes");
for (const [name, all] of rates) {
  const median = all.toSorted((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? 0;
  console.log(
    `${name.padEnd(22)} ${Math.max(...all)
      .toFixed(0)
      .padStart(5)} MB/s at best, ${median.toFixed(0)} in the middle`,
  );
}
