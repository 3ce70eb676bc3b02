import { ClusterdError } from "@clusterd/wire";
import { describeEnd, superviseProcess, type SupervisedProcess } from "../process/supervise.ts";
import { freePort } from "./free-port.ts";
import { knock } from "./knock.ts";

/** A port picked free may be taken before the server binds it. */
const PORT_TRIES_MAX = 5;
const START_MS_MAX = 20_000;
/** It has nothing to save: its memory is the deployment's, and that ends with it. */
const STOP_GRACE_MS = 1_000;

export interface WorkerOptions {
  /** The rpc-server's path. */
  readonly engine: { readonly rpcServer: string };
  readonly threads: number;
  /** The accelerator to serve, as the engine names it; null: the CPU. Always exactly one, since a head counts devices, not servers. */
  readonly deviceId: string | null;
  /** Paths of a model's files whose weights it reads by itself; only an engine with our patch can. */
  readonly weightFiles?: readonly string[];
  readonly logger?: (line: string) => void;
  readonly signal: AbortSignal;
}

/** One rpc-server on a loopback port, serving one device. */
export interface Worker extends AsyncDisposable {
  readonly port: number;
  readonly process: SupervisedProcess;
  /** Settles when it has ended: with the reason, or with null where its end was asked for. */
  readonly ended: Promise<ClusterdError | null>;
}

/**
 * Starts an rpc-server and waits for its own word. Into a pipe it writes nothing before its first connection ends (only then it flushes
 * what it printed), and it serves one connection at a time: so one is made and closed here, while nobody else knows the port, and never
 * again. Its words "Client connection closed" then prove that it listens, that the port is its own and not another process's, and
 * that it is free for its head.
 */
export async function startWorker(options: WorkerOptions): Promise<Worker> {
  for (let attempt = 1; ; attempt++) {
    options.signal.throwIfAborted();
    const port = await freePort();
    const child = superviseProcess({
      name: "rpc-server",
      command: options.engine.rpcServer,
      args: workerArguments({ port, threads: options.threads, deviceId: options.deviceId }),
      isReady: (line) => line.startsWith("Client connection closed"),
      start: { totalMs: START_MS_MAX, quietMs: START_MS_MAX },
      stopGraceMs: STOP_GRACE_MS,
      env: options.weightFiles === undefined ? {} : { GGML_RPC_WEIGHTS: options.weightFiles.join("\n") },
      ...(options.logger === undefined ? {} : { onLine: options.logger }),
    });
    const knocking = new AbortController();
    const knocked = knock(port, knocking.signal);
    try {
      await child.whenReady(options.signal);
      return {
        port,
        process: child,
        ended: child.ended.then((end) => (end.wanted ? null : lost(describeEnd(end), child))),
        [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
      };
    } catch (error) {
      // Its word for a port that is taken; it then ends with status 0.
      const portTaken = child.logTail.some((line) => line.includes("Failed to create server socket"));
      if (!portTaken || attempt >= PORT_TRIES_MAX || options.signal.aborted) throw explained(error, child, options);
    } finally {
      knocking.abort();
      await knocked;
    }
  }
}

/** rpc-server's command line. Loopback always: whoever reaches its port owns the process. */
export function workerArguments(spec: {
  readonly port: number;
  readonly threads: number;
  readonly deviceId: string | null;
}): readonly string[] {
  return ["-H", "127.0.0.1", "-p", String(spec.port), "-t", String(spec.threads), "-d", spec.deviceId ?? "CPU"];
}

function lost(how: string, child: SupervisedProcess): ClusterdError {
  const why = reason(child);
  return new ClusterdError("worker_lost", `rpc-server ${how}${why === undefined ? "" : `: ${why}`}`);
}

/** What it says of its connections and its start is no reason. */
function reason(child: SupervisedProcess): string | undefined {
  return child.logTail.findLast((line) => /error|fail|insufficient|abort|assert|invalid|out of/i.test(line));
}

function explained(error: unknown, child: SupervisedProcess, options: WorkerOptions): unknown {
  const unknown = child.logTail.find((line) => line.startsWith("error: unknown device"));
  if (unknown === undefined) return error;
  return new ClusterdError("unsupported", `The engine has no device ${options.deviceId ?? "CPU"} on this machine.`, {
    cause: error,
    next: "See `clusterd engine` for the devices there are.",
  });
}
