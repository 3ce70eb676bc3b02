import { randomBytes } from "node:crypto";
import { ClusterdError } from "@clusterd/wire";
import type { Engine } from "../build/engine.ts";
import { superviseProcess, type SupervisedProcess } from "../process/supervise.ts";
import { headArguments, wantedDevices, type HeadSpec } from "./head-arguments.ts";
import { createLoadLog, misplacedLayer, type BufferSize, type LoadLog } from "./load-log.ts";

export interface HeadOptions extends HeadSpec {
  readonly engine: Pick<Engine, "llamaServer">;
  /** How far the load is, 0 to 1. */
  readonly onProgress?: (fraction: number) => void;
  readonly signal: AbortSignal;
}

/** A llama-server with its model loaded, on a loopback port that only holders of the key may use. */
export interface Head extends AsyncDisposable {
  readonly port: number;
  readonly apiKey: string;
  readonly process: SupervisedProcess;
  readonly buffers: readonly BufferSize[];
}

/**
 * Starts llama-server and waits for its own word that it listens; its own log must show every layer where it was wanted. The key goes
 * by the environment (a command line can be read by every user), and is there because llama-server answers pages of any origin.
 */
export async function startHead(options: HeadOptions): Promise<Head> {
  const { signal } = options;
  signal.throwIfAborted();
  const log = createLoadLog();
  const apiKey = randomBytes(24).toString("base64url");
  const { promise: listening, resolve: listen } = Promise.withResolvers<"listening">();
  const { promise: stopped, resolve: stop } = Promise.withResolvers<"aborted">();
  const child = superviseProcess({
    name: "llama-server",
    command: options.engine.llamaServer,
    args: headArguments(options),
    env: { LLAMA_API_KEY: apiKey },
    onLine(line) {
      if (log.port !== null) return;
      log.take(line);
      const fraction = loadFraction(line, log, options.layerCount);
      if (fraction !== null) options.onProgress?.(fraction);
      if (log.port !== null) listen("listening");
    },
  });
  const onAbort = (): void => stop("aborted");
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const outcome = await Promise.race([listening, stopped, child.ended]);
    if (outcome === "aborted") throw new ClusterdError("interrupted", "Loading was stopped.");
    if (outcome !== "listening") throw crashed(outcome, log, options.modelId);
    const misplaced = misplacedLayer(wantedDevices(options), log);
    if (misplaced !== null) throw new ClusterdError("engine_crashed", `The engine placed the layers differently from the plan: ${misplaced}.`);
    if (log.port === null) throw new ClusterdError("engine_crashed", "The engine listens on no port.");
    return { port: log.port, apiKey, process: child, buffers: log.buffers, [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() };
  } catch (error) {
    await child[Symbol.asyncDispose]();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function crashed(end: { code: number | null; signal: string | null }, log: LoadLog, model: string): ClusterdError {
  const how = end.signal === null ? `ended with status ${end.code ?? "unknown"}` : `was ended by ${end.signal}`;
  const why = log.errors.at(-1);
  return new ClusterdError("engine_crashed", `llama-server ${how} while loading ${model}${why === undefined ? "" : `: ${why}`}`);
}

/** Progress by milestones of the log: layers assigned, tensors created one by one, context made. */
function loadFraction(line: string, log: LoadLog, layerCount: number): number | null {
  const [, layer] = /create_tensor: loading tensor blk\.(\d+)\./.exec(line) ?? [];
  if (layer !== undefined) return (0.3 * (Number(layer) + 1)) / layerCount;
  if (line.includes("model buffer size")) return 0.4;
  if (line.includes("KV buffer size")) return 0.9;
  return log.port === null ? null : 1;
}
