import { randomBytes } from "node:crypto";
import { ClusterdError } from "@clusterd/wire";
import { describeEnd, superviseProcess, type SupervisedProcess } from "../process/supervise.ts";
import { parseBufferSizes, type BufferSize } from "./buffer-sizes.ts";
import { headArguments } from "./head-arguments.ts";
import type { HeadSpec } from "./head-spec.ts";
import { LISTENING, LOAD_DEADLINE } from "./head-start.ts";
import { contradiction, isLoadReport } from "./load-check.ts";
import { explainHeadEnd } from "./load-failure.ts";
import { EXIT_COMMAND, parseLoadProgress, TELL_PROGRESS } from "./load-progress.ts";
import { proveLayers } from "./prove-layers.ts";

/** The level at which llama-server reports its buffers, and nothing per token. */
const LOG_LEVEL = "4";
/** The rest of the progress is for caches and buffers. */
const WEIGHTS_SHARE = 0.95;
/** Lines kept of what the log reports of the load: a few per device. */
const LOAD_LINES_MAX = 512;
/** What a worker has itself is known without hashing it; an engine without our patch does not look at this. */
const LEAVE_OUT_HASHES = { GGML_RPC_LOCAL_WEIGHTS: "1" };
const HEALTH_MS_MAX = 10_000;

export interface HeadOptions extends HeadSpec {
  /** llama-server's path. */
  readonly engine: { readonly llamaServer: string };
  /** How far the load is, 0 to 1; never falls. */
  readonly onProgress?: (fraction: number) => void;
  readonly logger?: (line: string) => void;
  readonly signal: AbortSignal;
}

/** A llama-server with its model loaded, on a loopback port that only holders of the key may use. Stop it before its workers. */
export interface Head extends AsyncDisposable {
  readonly port: number;
  /** For `Authorization: Bearer`. */
  readonly apiKey: string;
  readonly process: SupervisedProcess;
  /** Device of each layer, in order, by llama-server's own log. */
  readonly layerDevices: readonly string[];
  /** What the load took, by llama-server's own log. */
  readonly buffers: readonly BufferSize[];
  /** Settles when it has ended: with the reason, or with null where its end was asked for. */
  readonly ended: Promise<ClusterdError | null>;
}

/**
 * Starts llama-server over its workers and waits for its own word that the model is loaded. The layers' places are proven first, and
 * its log has to agree. The key goes by the environment (a command line can be read by every user); it is there because llama-server
 * answers pages of any origin. Throws `worker_lost`, `model_broken`, `does_not_fit`, `engine_crashed`, `timeout` … with the log's reason.
 */
export async function startHead(options: HeadOptions): Promise<Head> {
  const { signal, modelId } = options;
  signal.throwIfAborted();
  const layerDevices = await proveLayers(options.engine.llamaServer, options, signal);
  const apiKey = randomBytes(24).toString("base64url");
  const loadLines: string[] = [];
  let port = 0;
  let progress = 0;
  const advance = (fraction: number): void => {
    if (fraction > progress) options.onProgress?.((progress = fraction));
  };
  const child = superviseProcess({
    name: "llama-server",
    command: options.engine.llamaServer,
    args: [...headArguments(options), "-lv", LOG_LEVEL],
    // A crash would start a debugger to print its stack: half a second in which nobody knows of it.
    env: { GGML_NO_BACKTRACE: "1", LLAMA_API_KEY: apiKey, ...TELL_PROGRESS, ...LEAVE_OUT_HASHES },
    exitCommand: EXIT_COMMAND,
    start: LOAD_DEADLINE,
    isReady(line) {
      port = Number(LISTENING.exec(line)?.[1] ?? 0);
      return port > 0;
    },
    onLine(line) {
      options.logger?.(line);
      if (port > 0) return;
      if (isLoadReport(line) && loadLines.length < LOAD_LINES_MAX) loadLines.push(line);
      const fraction = parseLoadProgress(line);
      if (fraction !== null) advance(fraction * WEIGHTS_SHARE);
    },
  });
  try {
    await child.whenReady(signal);
    const wrong = contradiction(options, loadLines);
    if (wrong !== null)
      throw new ClusterdError("engine_crashed", `llama-server loaded ${modelId} differently from the plan: ${wrong}.`);
    await assertHealthy(port, signal);
    advance(1);
  } catch (error) {
    const crash = crashed(child, modelId);
    await child.stop();
    throw crash ?? error;
  }
  return {
    port,
    apiKey,
    process: child,
    layerDevices,
    buffers: parseBufferSizes(loadLines),
    ended: child.ended.then(() => crashed(child, modelId)),
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}

/** Why it ended, where nobody asked it to. */
function crashed(child: SupervisedProcess, modelId: string): ClusterdError | null {
  const { state } = child;
  return state.kind !== "ended" || state.wanted ? null : explainHeadEnd(child.logTail, describeEnd(state), modelId);
}

async function assertHealthy(port: number, signal: AbortSignal): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/health`, {
    signal: AbortSignal.any([signal, AbortSignal.timeout(HEALTH_MS_MAX)]),
  });
  await response.arrayBuffer();
  if (!response.ok)
    throw new ClusterdError("engine_crashed", `llama-server says it is loaded, but its health is ${response.status}.`);
}
