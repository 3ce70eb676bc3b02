import { open } from "node:fs/promises";
import {
  BadFrame,
  COMMAND,
  INJECT_BYTES,
  readSize,
  REQUEST_PREFIX_BYTES,
  SET_TENSOR_HEAD_BYTES,
  TENSOR_BYTES,
  tensorName,
  writeSize,
} from "./protocol.ts";
import type { RelayWires } from "./relay-end.ts";
import type { LocalWeights, WeightPlace } from "./weight-source.ts";

const FILE_CHUNK_BYTES: number = 1024 * 1024;
const SET_TENSOR_HASH_BYTES: number = TENSOR_BYTES + 16;
const PART_BITS = 48n;

/** The head's end leaves a weight to the worker's: in place of its bytes go the tensor, 0 and their number. */
export function encodeInject(head: Buffer, bytes: number): Buffer {
  const request = Buffer.alloc(REQUEST_PREFIX_BYTES + INJECT_BYTES);
  request.writeUInt8(COMMAND.inject, 0);
  writeSize(request, 1, INJECT_BYTES);
  head.copy(request, REQUEST_PREFIX_BYTES, REQUEST_PREFIX_BYTES, REQUEST_PREFIX_BYTES + TENSOR_BYTES);
  writeSize(request, REQUEST_PREFIX_BYTES + TENSOR_BYTES + 8, bytes);
  return request;
}

/** Where the weight is that is left to us. Throws where we have no such weight, or one of another size. */
export function placeOfInject(head: Buffer, weights: LocalWeights | null): WeightPlace {
  const name = tensorName(head, REQUEST_PREFIX_BYTES);
  const place = weights?.places.get(name);
  const bytes = readSize(head, REQUEST_PREFIX_BYTES + TENSOR_BYTES + 8);
  if (place === undefined) throw new BadFrame(`the weight ${JSON.stringify(name)}, which is not here`);
  if (bytes !== place.bytes || readSize(head, REQUEST_PREFIX_BYTES + TENSOR_BYTES) !== 0)
    throw new BadFrame(`${bytes} bytes of the weight ${JSON.stringify(name)}, which has ${place.bytes}`);
  return place;
}

/** For an engine that reads weights by itself: a hash in whose place is the weight's own. */
export function encodeReadWeight(head: Buffer, place: WeightPlace): Buffer {
  const request = Buffer.alloc(REQUEST_PREFIX_BYTES + SET_TENSOR_HASH_BYTES);
  request.writeUInt8(COMMAND.setTensorHash, 0);
  writeSize(request, 1, SET_TENSOR_HASH_BYTES);
  head.copy(request, REQUEST_PREFIX_BYTES, REQUEST_PREFIX_BYTES, REQUEST_PREFIX_BYTES + TENSOR_BYTES);
  const where = (BigInt(place.part) << PART_BITS) | BigInt(place.position);
  request.writeBigUInt64LE(where, REQUEST_PREFIX_BYTES + TENSOR_BYTES + 8);
  return request;
}

/** For an engine without our patch: the weight as if from its head, read piece by piece. */
export async function streamWeight(
  head: Buffer,
  place: WeightPlace,
  path: string,
  wires: Pick<RelayWires, "toLocal" | "localReady">,
): Promise<void> {
  await using file = await open(path, "r");
  const request = Buffer.alloc(REQUEST_PREFIX_BYTES + SET_TENSOR_HEAD_BYTES);
  request.writeUInt8(COMMAND.setTensor, 0);
  writeSize(request, 1, SET_TENSOR_HEAD_BYTES + place.bytes);
  head.copy(request, REQUEST_PREFIX_BYTES, REQUEST_PREFIX_BYTES, REQUEST_PREFIX_BYTES + TENSOR_BYTES);
  wires.toLocal(request);
  for (let done = 0; done < place.bytes;) {
    const chunk = Buffer.allocUnsafe(Math.min(FILE_CHUNK_BYTES, place.bytes - done));
    const { bytesRead } = await file.read(chunk, 0, chunk.length, place.position + done);
    if (bytesRead === 0) throw new Error(`${path} ended early`);
    wires.toLocal(chunk.subarray(0, bytesRead));
    done += bytesRead;
    await wires.localReady();
  }
}
