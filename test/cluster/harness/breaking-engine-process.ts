// llama-server between proxies to its workers: see breaking-engine.ts.
// Usage: node breaking-engine-process.ts FLAG LLAMA-SERVER [its arguments]
import { spawn } from "node:child_process";
import { once } from "node:events";
import { unlinkSync } from "node:fs";
import { createInterface } from "node:readline";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { createFrameScanner } from "../../../packages/engine/src/rpc/frame-scanner.ts";
import {
  COMMAND,
  readSize,
  REQUEST_PREFIX_BYTES,
  SET_TENSOR_HEAD_BYTES,
  tensorName,
} from "../../../packages/engine/src/rpc/protocol.ts";
import { isPadding, MARK_BYTES, SECRET_BYTES } from "../../../packages/engine/src/rpc/promised-copy.ts";

const [flag = "", llamaServer = "", ...args] = process.argv.slice(2);
/** More of them than this would be no placeholder of a decode step. */
const BYTES_MAX = 1024 * 1024;

/** Whether something is to be broken; then it is, once. */
function isWanted(): boolean {
  try {
    unlinkSync(flag);
    return true;
  } catch {
    // Nothing lies there.
    return false;
  }
}

/** From the engine to its worker, with one byte changed where that is wanted. */
function passOn(engine: Socket, worker: Socket): void {
  let isMarked = false;
  const scanner = createFrameScanner({
    prefixBytes: REQUEST_PREFIX_BYTES,
    measure(prefix) {
      const payloadBytes = readSize(prefix, 1);
      const isSetting = prefix.readUInt8(0) === COMMAND.setTensor;
      return { payloadBytes, headBytes: isSetting ? SET_TENSOR_HEAD_BYTES + MARK_BYTES : Math.min(payloadBytes, MARK_BYTES) };
    },
    begin(head) {
      const data = head.subarray(REQUEST_PREFIX_BYTES + SET_TENSOR_HEAD_BYTES);
      // A copy between stages, and what it begins with is no zeros.
      isMarked =
        head.readUInt8(0) === COMMAND.setTensor &&
        readSize(head, 1) <= BYTES_MAX &&
        tensorName(head, REQUEST_PREFIX_BYTES).includes("#") &&
        data.length === MARK_BYTES &&
        !isPadding(data.subarray(0, SECRET_BYTES));
      return "pass";
    },
    body(bytes) {
      if (isMarked && bytes.length >= MARK_BYTES && isPadding(bytes) && isWanted()) bytes[0] = 1;
      isMarked = false;
    },
    emit: (bytes) => void worker.write(bytes),
  });
  engine.on("data", (chunk: Buffer) => void scanner.push(chunk));
}

async function proxyTo(endpoint: string): Promise<string> {
  const [host = "", port = ""] = endpoint.split(":");
  const server = createServer((engine) => {
    const worker = connect({ host, port: Number(port) });
    for (const [one, other] of [
      [engine, worker],
      [worker, engine],
    ] as const) {
      one.setNoDelay(true);
      one.on("error", () => other.destroy()).on("close", () => other.destroy());
    }
    passOn(engine, worker);
    worker.pipe(engine);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  server.unref();
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const at = args.indexOf("--rpc") + 1;
const endpoints = at > 0 ? (args[at] ?? "").split(",") : [];
const proxies = await Promise.all(endpoints.map(proxyTo));
if (at > 0) args[at] = proxies.join(",");
const child = spawn(llamaServer, args, { stdio: ["inherit", "pipe", "pipe"] });
// Its log is held against the plan, which knows nothing of proxies.
for (const [from, to] of [
  [child.stdout, process.stdout],
  [child.stderr, process.stderr],
] as const)
  createInterface({ input: from }).on("line", (line) => {
    to.write(`${proxies.reduce((text, proxy, index) => text.replaceAll(proxy, endpoints[index] ?? ""), line)}\n`);
  });
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => void child.kill(signal));
const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
if (signal !== null) process.kill(process.pid, "SIGKILL");
process.exit(code ?? 1);
