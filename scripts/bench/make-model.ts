// Writes a llama model with random Q8_0 weights and the demo model's tokenizer: something of a real model's size to measure with.
// Usage: node scripts/bench/make-model.ts OUT.gguf [--layers 24] [--width 1024]
import { randomBytes } from "node:crypto";
import { open, readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { encodeText, encodeUint32, encodeUint64, readMetadata } from "./gguf-metadata.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { layers: { type: "string", default: "24" }, width: { type: "string", default: "1024" } },
});
const [out] = positionals;
if (out === undefined) throw new Error("Usage: node scripts/bench/make-model.ts OUT.gguf [--layers N] [--width N]");
const layers = Number(values.layers);
const width = Number(values.width);
const HEAD_WIDTH = 64;
if (width % (4 * HEAD_WIDTH) !== 0) throw new Error(`--width must be a multiple of ${4 * HEAD_WIDTH}.`);
const heads = width / HEAD_WIDTH;
const keyWidth = width / 2;
const feedForward = Math.ceil((width * 8) / 3 / 256) * 256;

const ALIGNMENT = 32;
const F32 = 0;
const Q8_0 = 8;
const BLOCK_ITEMS = 32;
const BLOCK_BYTES = 34;

const metadata = readMetadata(await readFile(new URL("../../models/demo-16l-q8_0.gguf", import.meta.url)));
const vocabulary = metadata.find(({ key }) => key === "llama.vocab_size")?.bytes.readUInt32LE() ?? Number.NaN;
const replaced: Readonly<Record<string, number>> = {
  "llama.embedding_length": width,
  "llama.block_count": layers,
  "llama.feed_forward_length": feedForward,
  "llama.attention.head_count": heads,
  "llama.attention.head_count_kv": heads / 2,
  "llama.rope.dimension_count": HEAD_WIDTH,
};

interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
}
const layerTensors = (index: number): readonly Tensor[] =>
  Object.entries({
    attn_norm: [width],
    attn_q: [width, width],
    attn_k: [width, keyWidth],
    attn_v: [width, keyWidth],
    attn_output: [width, width],
    ffn_norm: [width],
    ffn_gate: [width, feedForward],
    ffn_up: [width, feedForward],
    ffn_down: [feedForward, width],
  }).map(([name, shape]) => ({ name: `blk.${index}.${name}.weight`, shape }));
const tensors: readonly Tensor[] = [
  { name: "token_embd.weight", shape: [width, vocabulary] },
  ...Array.from({ length: layers }, (_, index) => layerTensors(index)).flat(),
  { name: "output_norm.weight", shape: [width] },
  { name: "output.weight", shape: [width, vocabulary] },
];

const itemsOf = ({ shape }: Tensor): number => shape.reduce((product, size) => product * size, 1);
const typeOf = ({ shape }: Tensor): number => (shape.length === 1 ? F32 : Q8_0);
const bytesOf = (tensor: Tensor): number =>
  typeOf(tensor) === F32 ? itemsOf(tensor) * 4 : (itemsOf(tensor) / BLOCK_ITEMS) * BLOCK_BYTES;
const padding = (length: number): Buffer => Buffer.alloc((ALIGNMENT - (length % ALIGNMENT)) % ALIGNMENT);

function header(): Buffer {
  let offset = 0;
  const infos = tensors.map((tensor) => {
    const info = Buffer.concat([
      encodeText(tensor.name),
      encodeUint32(tensor.shape.length),
      ...tensor.shape.map(encodeUint64),
      encodeUint32(typeOf(tensor)),
      encodeUint64(offset),
    ]);
    offset += bytesOf(tensor) + padding(bytesOf(tensor)).length;
    return info;
  });
  const entries = metadata.map(({ key, type, bytes }) => {
    const value = replaced[key];
    return Buffer.concat([encodeText(key), encodeUint32(type), value === undefined ? bytes : encodeUint32(value)]);
  });
  const whole = Buffer.concat([
    Buffer.from("GGUF"),
    encodeUint32(3),
    encodeUint64(tensors.length),
    encodeUint64(metadata.length),
    ...entries,
    ...infos,
  ]);
  return Buffer.concat([whole, padding(whole.length)]);
}

/** Blocks of random weights whose spread keeps activations in range: 1 ÷ √width. */
function randomBlocks(): Buffer {
  const blocks = randomBytes(BLOCK_BYTES * 65_536);
  // Half of the smallest normal exponent's neighbourhood suffices: a power of two as a half-precision float.
  const exponent = Math.round(Math.log2(1 / (74 * Math.sqrt(width)))) + 15;
  for (let at = 0; at < blocks.length; at += BLOCK_BYTES) blocks.writeUInt16LE(Math.max(1, exponent) << 10, at);
  return blocks;
}

function onesOf(tensor: Tensor): Buffer {
  const bytes = Buffer.alloc(bytesOf(tensor));
  for (let at = 0; at < bytes.length; at += 4) bytes.writeFloatLE(1, at);
  return bytes;
}

await using file = await open(out, "w");
const blocks = randomBlocks();
await file.write(header());
for (const tensor of tensors) {
  if (typeOf(tensor) === F32) await file.write(onesOf(tensor));
  else {
    for (let left = bytesOf(tensor); left > 0; left -= blocks.length)
      await file.write(blocks.subarray(0, Math.min(left, blocks.length)));
  }
  await file.write(padding(bytesOf(tensor)));
}
console.log(`${out}: ${layers} layers × ${width}, ${((await file.stat()).size / 1e6).toFixed(0)} MB`);
