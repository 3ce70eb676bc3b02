import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { ClusterdError } from "@clusterd/wire";

/** `RPC_CMD_HELLO`, 24 bytes of capabilities (none): command u8, size u64le, payload. */
const HELLO_COMMAND = 14;
const CAPABILITIES_BYTES = 24;
/** Answer: size u64le, then major, minor, patch, padding and capabilities. */
const ANSWER_BYTES = 8 + 4 + CAPABILITIES_BYTES;

const START_TIMEOUT_MS = 20_000;
const RETRY_MS = 20;

/** The HELLO request as it goes over the wire. */
export function helloRequest(): Buffer {
  const frame = Buffer.alloc(1 + 8 + CAPABILITIES_BYTES);
  frame.writeUInt8(HELLO_COMMAND, 0);
  frame.writeBigUInt64LE(BigInt(CAPABILITIES_BYTES), 1);
  return frame;
}

/** The version in an answer to HELLO, `major.minor.patch`; null where these bytes are no such answer. */
export function parseHelloAnswer(bytes: Uint8Array): string | null {
  if (bytes.length < ANSWER_BYTES) return null;
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.readBigUInt64LE(0) !== BigInt(ANSWER_BYTES - 8)) return null;
  return `${view.readUInt8(8)}.${view.readUInt8(9)}.${view.readUInt8(10)}`;
}

/** A loopback port that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** One greeting: connects, says HELLO, takes the version from the answer. Rejects where nobody answers as an rpc-server does. */
function greetOnce(port: number, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, signal });
    let answer = Buffer.alloc(0);
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("the connection was closed before the answer to HELLO")));
    socket.once("connect", () => socket.write(helloRequest()));
    socket.on("data", (chunk) => {
      answer = Buffer.concat([answer, chunk]);
      const version = parseHelloAnswer(answer);
      if (version === null && answer.length < ANSWER_BYTES) return;
      if (version === null) reject(new NoRpcServerError());
      else resolve(version);
      socket.destroy();
    });
  });
}

/** Something else than an rpc-server listens: greeting it again would not help. */
class NoRpcServerError extends Error {
  constructor() {
    super("the answer to HELLO is no version");
    this.name = "NoRpcServerError";
  }
}

/** Greets an rpc-server until it answers; returns its protocol version. It must not be serving anyone else. */
export async function greetRpcServer(port: number, signal: AbortSignal): Promise<string> {
  for (;;) {
    signal.throwIfAborted();
    try {
      return await greetOnce(port, signal);
    } catch (error) {
      if (error instanceof NoRpcServerError) throw error;
      await sleep(RETRY_MS, undefined, { signal });
    }
  }
}

/** Asks an rpc-server which protocol it speaks: starts it on a loopback port, says HELLO, ends it. */
export async function askRpcProtocol(rpcServer: string, signal?: AbortSignal): Promise<string> {
  const port = await freePort();
  const child = spawn(rpcServer, ["-H", "127.0.0.1", "-p", String(port), "-t", "1"], { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (said = (said + chunk).slice(-2000)));
  const ended = new AbortController();
  const closed = new Promise<void>((resolve) => {
    child.once("error", (error) => {
      ended.abort(error);
      resolve();
    });
    child.once("close", (code, by) => {
      ended.abort(new Error(`it ended with ${by ?? `status ${code}`}${said === "" ? "" : `: ${said.trim()}`}`));
      resolve();
    });
  });
  const limits = [ended.signal, AbortSignal.timeout(START_TIMEOUT_MS)];
  const stop = AbortSignal.any(signal === undefined ? limits : [...limits, signal]);
  try {
    return await greetRpcServer(port, stop);
  } catch (error) {
    signal?.throwIfAborted();
    const cause = stop.aborted ? stop.reason : error;
    throw new ClusterdError(
      "engine_missing",
      `${rpcServer} does not say which RPC protocol it speaks: ${cause instanceof Error ? cause.message : String(cause)}.`,
      {
        cause,
        next: "Point CLUSTERD_ENGINE_DIR at an engine built for this machine, or unset it to have one built.",
      },
    );
  } finally {
    child.kill("SIGKILL");
    await closed;
  }
}
