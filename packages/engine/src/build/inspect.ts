import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ClusterdError } from "@clusterd/wire";
import { runCommand } from "./command.ts";
import { parseDeviceList } from "./device-list.ts";
import type { EngineDevice } from "./engine.ts";
import { askRpcProtocol } from "./ask-engine.ts";

/** A GPU's driver may take its time when it is asked first. */
const ASK_TIMEOUT_MS = 60_000;

export interface EnginePrograms {
  readonly llamaServer: string;
  readonly rpcServer: string;
}

/** What an engine's programs say of themselves. */
export interface EngineAnswers {
  readonly rpcProtocol: string;
  readonly devices: readonly EngineDevice[];
  readonly localWeights: boolean;
  /** As llama-server states it, e.g. `0.5.0-dev` or `b6123`. */
  readonly version: string;
}

async function ask(program: string, argument: string, signal: AbortSignal | undefined): Promise<string> {
  let result;
  try {
    result = await runCommand(program, [argument], { signal, timeoutMs: ASK_TIMEOUT_MS });
  } catch (error) {
    signal?.throwIfAborted();
    const why = error instanceof Error ? error.message : String(error);
    throw new ClusterdError("engine_missing", `${program} does not run: ${why}.`, { cause: error });
  }
  if (result.code === 0) return result.output;
  const last = result.output.trim().split("\n").at(-1) ?? "";
  throw new ClusterdError("engine_missing", `${program} ${argument} ended with status ${result.code}: ${last}`);
}

/** The version in what `llama-server --version` prints; builds are numbered (`6123`), releases are not. */
export function parseVersion(output: string): string {
  const version = /^version: (\S+)/m.exec(output)?.[1] ?? "unknown";
  return /^\d+$/.test(version) ? `b${version}` : version;
}

/** The devices an engine can use, asked from itself. */
export async function askDevices(llamaServer: string, signal?: AbortSignal): Promise<EngineDevice[]> {
  return parseDeviceList(await ask(llamaServer, "--list-devices", signal));
}

/** The variable by which our patch is told where the weights are: an RPC backend that has the patch has this name in it. */
const PATCH_MARK = "GGML_RPC_WEIGHTS";
const RPC_LIBRARY = /^(lib)?ggml-rpc\.(so|dylib|dll)$/;
/** It takes some hundred kilobytes. */
const RPC_LIBRARY_BYTES_MAX = 64 * 1024 * 1024;

/** Whether the RPC backend beside these programs has our patch. One linked into the programs has not. */
async function knowsLocalWeights(dir: string): Promise<boolean> {
  const library = (await readdir(dir)).find((name) => RPC_LIBRARY.test(name));
  if (library === undefined) return false;
  const path = join(dir, library);
  return (await stat(path)).size <= RPC_LIBRARY_BYTES_MAX && (await readFile(path)).includes(PATCH_MARK);
}

/** Asks an engine's programs what they are; fails where they do not run, or cannot work with workers. */
export async function inspectEngine(programs: EnginePrograms, signal?: AbortSignal): Promise<EngineAnswers> {
  const [help, devices, version, rpcProtocol, localWeights] = await Promise.all([
    ask(programs.llamaServer, "--help", signal),
    askDevices(programs.llamaServer, signal),
    ask(programs.llamaServer, "--version", signal),
    askRpcProtocol(programs.rpcServer, signal),
    knowsLocalWeights(dirname(programs.rpcServer)),
  ]);
  if (!help.includes("--rpc")) {
    throw new ClusterdError("engine_missing", `${programs.llamaServer} is built without RPC: it cannot use other machines.`, {
      next: "Use a build of llama.cpp with GGML_RPC, or unset CLUSTERD_ENGINE_DIR to have one built.",
    });
  }
  return { rpcProtocol, devices, localWeights, version: parseVersion(version) };
}
