import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Engine } from "../../packages/engine/src/build/engine.ts";
import {
  COMMAND,
  readSize,
  REQUEST_PREFIX_BYTES,
  RESPONSE_PREFIX_BYTES,
  SET_TENSOR_HEAD_BYTES,
  TENSOR,
  TENSOR_BYTES,
  writeSize,
} from "../../packages/engine/src/rpc/protocol.ts";
import { startWorker } from "../../packages/engine/src/worker/start-worker.ts";
import { median } from "./machine.ts";
import { tunnelTo, type Daemons } from "./pipeline.ts";

const TRIPS_PER_ROUND = 60;
const F32_BYTES = 4;
const HELLO_BYTES = 24;
const BUFFER_BYTES: number = 1024 * 1024;

/** A real rpc-server that is given a tensor and asked for one, straight or through the daemons. */
export interface PingPong extends AsyncDisposable {
  /** Milliseconds of one round trip, a pause of so many before each. */
  tripMs(pauseMs: number): Promise<number>;
  /** So many, one right after the other. */
  warmUp(trips: number): Promise<void>;
}

export async function startPingPong(options: {
  readonly engine: Engine;
  /** Null: straight to the rpc-server. */
  readonly daemons: Daemons | null;
  /** Which of the daemons' workers. */
  readonly worker?: number;
  readonly model: string;
  readonly upBytes: number;
  readonly downBytes: number;
}): Promise<PingPong> {
  const { engine, daemons, model, upBytes, downBytes } = options;
  await using starting = new AsyncDisposableStack();
  const worker = starting.use(await startWorker({ engine, threads: 1, deviceId: null, signal: AbortSignal.timeout(20_000) }));
  const stage = { model, firstLayer: 0, lastLayer: 0, localWeights: false, slots: 1 };
  const port = daemons === null ? worker.port : await tunnelTo(worker.port, daemons, options.worker ?? 0, stage);
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  starting.defer(() => void socket.destroy());
  await once(socket, "connect");

  await ask(socket, COMMAND.hello, Buffer.alloc(HELLO_BYTES));
  const wanted = Buffer.alloc(12);
  writeSize(wanted, 4, BUFFER_BYTES);
  const handle = readSize(await ask(socket, COMMAND.allocBuffer, wanted), 0);
  const asked = Buffer.alloc(8);
  writeSize(asked, 0, handle);
  const base = readSize(await ask(socket, COMMAND.bufferGetBase, asked), 0);

  const tensor = encodeTensor(handle, base, Math.max(upBytes, downBytes));
  const dataBytes = Math.max(F32_BYTES, upBytes - 2 * (REQUEST_PREFIX_BYTES + TENSOR_BYTES) - 25);
  const set = Buffer.alloc(SET_TENSOR_HEAD_BYTES + dataBytes);
  tensor.copy(set);
  const get = Buffer.alloc(TENSOR_BYTES + 16);
  tensor.copy(get);
  const answerBytes = Math.max(F32_BYTES, downBytes - RESPONSE_PREFIX_BYTES);
  writeSize(get, TENSOR_BYTES + 8, answerBytes);
  const trip = Buffer.concat([encodeRequest(COMMAND.setTensor, set), encodeRequest(COMMAND.getTensor, get)]);
  const goAndBack = async (): Promise<void> => {
    socket.write(trip);
    await readBytes(socket, RESPONSE_PREFIX_BYTES + answerBytes);
  };
  const lifetime = starting.move();
  return {
    async warmUp(trips) {
      for (let count = 0; count < trips; count += 1) await goAndBack();
    },
    async tripMs(pauseMs) {
      const times: number[] = [];
      for (let count = 0; count < TRIPS_PER_ROUND; count += 1) {
        await sleep(pauseMs);
        const begunMs = performance.now();
        await goAndBack();
        times.push(performance.now() - begunMs);
      }
      return median(times);
    },
    [Symbol.asyncDispose]: () => lifetime.disposeAsync(),
  };
}

function encodeRequest(command: number, payload: Buffer): Buffer {
  const prefix = Buffer.alloc(REQUEST_PREFIX_BYTES);
  prefix.writeUInt8(command, 0);
  writeSize(prefix, 1, payload.length);
  return Buffer.concat([prefix, payload]);
}

/** One row of floats at the buffer's beginning. */
function encodeTensor(handle: number, base: number, bytes: number): Buffer {
  const tensor = Buffer.alloc(TENSOR_BYTES);
  const elements = Math.ceil(bytes / F32_BYTES);
  writeSize(tensor, TENSOR.buffer, handle);
  writeSize(tensor, TENSOR.data, base);
  for (let dimension = 0; dimension < 4; dimension += 1) {
    tensor.writeUInt32LE(dimension === 0 ? elements : 1, TENSOR.dimensions + 4 * dimension);
    tensor.writeUInt32LE(dimension === 0 ? F32_BYTES : F32_BYTES * elements, TENSOR.strides + 4 * dimension);
  }
  tensor.write("ping", TENSOR.name, "latin1");
  return tensor;
}

async function ask(socket: Socket, command: number, payload: Buffer): Promise<Buffer> {
  socket.write(encodeRequest(command, payload));
  const bytes = readSize(await readBytes(socket, RESPONSE_PREFIX_BYTES), 0);
  return readBytes(socket, bytes);
}

async function readBytes(socket: Socket, length: number): Promise<Buffer> {
  for (;;) {
    const chunk = socket.read(length) as Buffer | null;
    if (chunk?.length === length) return chunk;
    if (chunk !== null || socket.destroyed) throw new Error("the rpc-server closed the connection");
    await once(socket, "readable");
  }
}
