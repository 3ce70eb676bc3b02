import { spawn } from "node:child_process";
import { connect, createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { ClusterdError } from "@clusterd/wire";
import type { EngineDevice } from "./engine.ts";

const ASK_MS_MAX = 20_000;
const OUTPUT_BYTES_MAX = 256 * 1024;
/** `HELLO` of llama.cpp's RPC protocol: command 14, then 24 zero bytes of capabilities. */
const RPC_CMD_HELLO = 14;
const HELLO_CAPABILITY_BYTES = 24;

/** What a program prints (both streams), bounded. */
export function outputOf(command: string, args: readonly string[], signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], signal: AbortSignal.any([signal, AbortSignal.timeout(ASK_MS_MAX)]), killSignal: "SIGKILL" });
    let text = "";
    const take = (chunk: Buffer): void => {
      if (text.length < OUTPUT_BYTES_MAX) text += chunk.toString("utf8");
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.once("error", reject);
    child.once("close", (code) => (code === 0 ? resolve(text) : reject(new ClusterdError("engine_missing", `${command} does not run here: ${text.slice(-600)}`))));
  });
}

/** Accelerators from `llama-server --list-devices`; a plain CPU is none. Sizes in bytes (the engine prints MiB). */
export function parseDevices(text: string): EngineDevice[] {
  const devices: EngineDevice[] = [];
  for (const line of text.split("\n")) {
    const [, id, name, mib] = /^\s+([A-Za-z]+\d+):\s+(.+?)\s+\((\d+) MiB, \d+ MiB free\)\s*$/.exec(line) ?? [];
    if (id !== undefined && name !== undefined && !/^(RPC|CPU|BLAS)/.test(id)) devices.push({ id, name, memoryBytes: Number(mib) * 1024 * 1024 });
  }
  return devices;
}

/** Asks a real rpc-server for its protocol version: it is started on a loopback port, greeted, and ended. */
export async function askRpcProtocol(rpcServer: string, signal: AbortSignal): Promise<string> {
  const port = await freePort();
  const child = spawn(rpcServer, ["-H", "127.0.0.1", "-p", String(port), "-t", "1"], { stdio: "ignore" });
  const failed = once(child, "error").then(([error]) => Promise.reject(error as Error));
  try {
    return await Promise.race([greetRpcServer(port, AbortSignal.any([signal, AbortSignal.timeout(ASK_MS_MAX)])), failed]);
  } catch (error) {
    throw new ClusterdError("engine_missing", `${rpcServer} does not answer llama.cpp's RPC greeting.`, { cause: error, next: "Use an engine of clusterd's own: unset CLUSTERD_ENGINE_DIR." });
  } finally {
    failed.catch(() => undefined);
    child.kill("SIGKILL");
  }
}

/** Greets an rpc-server until it answers; returns its protocol version. It must not be serving anyone else. */
export async function greetRpcServer(port: number, signal: AbortSignal): Promise<string> {
  for (;;) {
    signal.throwIfAborted();
    try {
      return await greetOnce(port, signal);
    } catch {
      await new Promise((done) => setTimeout(done, 50));
    }
  }
}

function greetOnce(port: number, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, signal });
    let answer = Buffer.alloc(0);
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("closed")));
    socket.on("data", (chunk) => {
      answer = Buffer.concat([answer, chunk]);
      if (answer.length < 11) return;
      socket.destroy();
      resolve(`${answer[8]}.${answer[9]}.${answer[10]}`);
    });
    socket.once("connect", () => {
      const hello = Buffer.alloc(9 + HELLO_CAPABILITY_BYTES);
      hello[0] = RPC_CMD_HELLO;
      hello.writeBigUInt64LE(BigInt(HELLO_CAPABILITY_BYTES), 1);
      socket.write(hello);
    });
  });
}

/** A loopback port that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((done) => server.close(() => done()));
  return port;
}
