import { ClusterdError } from "@clusterd/wire";
import { freePort, greetRpcServer } from "../build/ask-engine.ts";
import type { Engine } from "../build/engine.ts";
import { superviseProcess, type SupervisedProcess } from "../process/supervise.ts";

/** A port picked free may be taken before the server binds it. */
const PORT_TRIES_MAX = 3;
const START_MS_MAX = 20_000;

export interface WorkerOptions {
  readonly engine: Pick<Engine, "rpcServer">;
  readonly threads: number;
  /** The accelerator to serve, as the engine names it; null: the engine's own choice. */
  readonly deviceId: string | null;
  readonly signal: AbortSignal;
}

/** One rpc-server on a loopback port. */
export interface Worker extends AsyncDisposable {
  readonly port: number;
  readonly process: SupervisedProcess;
}

/**
 * Starts an rpc-server and waits until it answers llama.cpp's greeting. It serves one connection at a time, so this is the only time
 * it is ever probed: before anybody else knows its port.
 */
export async function startWorker(options: WorkerOptions): Promise<Worker> {
  for (let attempt = 1; ; attempt++) {
    options.signal.throwIfAborted();
    const port = await freePort();
    const worker = superviseProcess({
      name: "rpc-server",
      command: options.engine.rpcServer,
      args: ["-H", "127.0.0.1", "-p", String(port), "-t", String(options.threads), ...(options.deviceId === null ? [] : ["-d", options.deviceId])],
    });
    const ready = new AbortController();
    const signal = AbortSignal.any([options.signal, ready.signal, AbortSignal.timeout(START_MS_MAX)]);
    const ended = worker.ended.then(() => "ended" as const);
    try {
      const outcome = await Promise.race([greetRpcServer(port, signal), ended]);
      if (outcome !== "ended") return { port, process: worker, [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose]() };
      if (attempt >= PORT_TRIES_MAX) throw new ClusterdError("engine_crashed", `The rpc-server ends at once: ${worker.logTail.slice(-3).join(" ")}`);
    } catch (error) {
      await worker[Symbol.asyncDispose]();
      throw error;
    } finally {
      ready.abort();
    }
  }
}
