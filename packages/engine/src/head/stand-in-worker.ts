import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";

const GET_ALIGNMENT = 1;
const GET_MAX_SIZE = 2;
const GET_DEVICE_MEMORY = 11;
const HELLO = 14;
const DEVICE_COUNT = 15;
/** A command's byte and the length of its payload. */
const REQUEST_HEADER_BYTES = 9;
/** Greetings and questions are shorter; what is longer is part of a load, which a stand-in does not serve. */
const PAYLOAD_BYTES_MAX = 256;
/** The oldest 7.x: a client takes any server that is not newer than itself. */
const PROTOCOL: readonly number[] = [7, 0, 0];
const CAPABILITY_BYTES = 24;
const MEMORY_BYTES: bigint = 1n << 40n;

/** What an rpc-server with one device answers before a load begins; null: nothing. */
function answerTo(command: number): Buffer | null {
  switch (command) {
    case HELLO:
      return Buffer.from([...PROTOCOL, 0, ...Array.from({ length: CAPABILITY_BYTES }, () => 0)]);
    case DEVICE_COUNT:
      return Buffer.from([1, 0, 0, 0]);
    case GET_DEVICE_MEMORY:
      return numbers(MEMORY_BYTES, MEMORY_BYTES);
    case GET_ALIGNMENT:
      return numbers(64n);
    case GET_MAX_SIZE:
      return numbers(MEMORY_BYTES);
    default:
      return null;
  }
}

/** A place in a pipeline that holds nothing: enough of an rpc-server for llama-server to plan with, and no more. */
export interface StandInWorker extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly endpoint: string;
}

export async function startStandInWorker(): Promise<StandInWorker> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    socket.on("error", () => socket.destroy());
    serve(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    endpoint: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      await closed(server);
    },
  };
}

function serve(socket: Socket): void {
  let held = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    while (held.length >= REQUEST_HEADER_BYTES) {
      const command = held.readUInt8(0);
      const payloadBytes = held.readBigUInt64LE(1);
      const answer = payloadBytes > PAYLOAD_BYTES_MAX ? null : answerTo(command);
      if (answer === null) {
        // Whoever asks this is loading already: it waits until it is ended.
        socket.pause();
        return;
      }
      const end = REQUEST_HEADER_BYTES + Number(payloadBytes);
      if (held.length < end) return;
      held = held.subarray(end);
      socket.write(Buffer.concat([numbers(BigInt(answer.length)), answer]));
    }
  });
}

function numbers(...values: bigint[]): Buffer {
  const bytes = Buffer.alloc(8 * values.length);
  for (const [index, value] of values.entries()) bytes.writeBigUInt64LE(value, 8 * index);
  return bytes;
}

const closed = (server: Server): Promise<void> => new Promise((done) => server.close(() => done()));
