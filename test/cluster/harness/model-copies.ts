import { copyFile, mkdir, open, readFile, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { groupOf, namesOf, readModelFile, readWeightTable, type WeightTable } from "../../../packages/catalog/src/index.ts";

const DEMO = resolve(import.meta.dirname, "../../../models/demo-16l-q8_0.gguf");
const DEMO_NAME = "clusterd demo";
/** In a Q8_0 block a byte is a weight, and two in front are its scale: flipping a weight's lowest bit changes it by next to nothing. */
const BYTE_IN_BLOCK = 5;

/** The demo model as one that no node brings with it: the same weights under another content id, from the name in its metadata. */
export async function writeVariant(folder: string, file: string): Promise<string> {
  const bytes = await readFile(DEMO);
  const at = bytes.indexOf(DEMO_NAME);
  if (at < 0) throw new Error(`the demo model is not called ${DEMO_NAME} any more`);
  const name = file.padEnd(DEMO_NAME.length, ".").slice(0, DEMO_NAME.length);
  bytes.write(name, at);
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${file}.gguf`);
  await writeFile(path, bytes);
  return path;
}

async function tableOf(path: string): Promise<WeightTable> {
  const { signal } = new AbortController();
  return readWeightTable(await readModelFile(path, { signal }), signal);
}

/** A copy in which one bit of one weight of a layer is another: the same content id, other content. */
export async function copyFlipped(from: string, to: string, layer: number): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await copyFile(from, to);
  const table = await tableOf(from);
  const place = table.get(`blk.${layer}.ffn_down.weight`);
  if (place === undefined) throw new Error(`there is no layer ${layer}`);
  await using file = await open(to, "r+");
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, place.position + BYTE_IN_BLOCK);
  byte.writeUInt8(byte.readUInt8(0) ^ 1);
  await file.write(byte, 0, 1, place.position + BYTE_IN_BLOCK);
}

/** A sparse copy: a hole where the layers' weights are, of which not a byte was written. */
export async function copyWithHole(from: string, to: string, layers: readonly number[]): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  const bytes = await readFile(from);
  const table = await tableOf(from);
  const holes = [...table]
    .filter(([name]) => layers.some((layer) => layer === groupOf(name)))
    .map(([, { position, bytes: size }]) => ({ from: position, to: position + size }))
    .toSorted((a, b) => a.from - b.from);
  await using file = await open(to, "w");
  let at = 0;
  for (const hole of holes) {
    if (hole.from > at) await file.write(bytes, at, hole.from - at, at);
    at = hole.to;
  }
  await file.write(bytes, at, bytes.length - at, at);
  await file.truncate(bytes.length);
}

/** Bytes of the weights of some layers. */
export async function layerBytes(path: string, layers: readonly number[]): Promise<number> {
  const table = await tableOf(path);
  return layers.flatMap((layer) => namesOf(table, layer)).reduce((sum, name) => sum + (table.get(name)?.bytes ?? 0), 0);
}
