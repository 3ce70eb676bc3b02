import { createHash } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { asClusterdError, ClusterdError } from "@clusterd/wire";
import { askRpcProtocol, outputOf, parseDevices } from "./ask-engine.ts";
import { buildEngine } from "./build-engine.ts";
import { ENGINE_RPC_PROTOCOL, sameRpcProtocol, type Engine, type EngineProgress } from "./engine.ts";
import { engineCacheDir, findSources } from "./sources.ts";

export interface EnsureEngineOptions {
  readonly onProgress?: (progress: EngineProgress) => void;
  readonly signal: AbortSignal;
}

const SUFFIX: string = process.platform === "win32" ? ".exe" : "";

interface Facts {
  readonly llamaCpp: string;
  readonly rpcProtocol: string;
  readonly devices: Engine["devices"];
}

/**
 * The engine to run: `CLUSTERD_ENGINE_DIR`, else the one built for this machine (building it at the first need), else binaries on PATH
 * of the same RPC protocol where building is not possible. Throws `engine_missing` saying what to install.
 */
export async function ensureEngine(options: EnsureEngineOptions): Promise<Engine> {
  const { signal } = options;
  const onProgress = options.onProgress ?? ((): void => undefined);
  const own = process.env["CLUSTERD_ENGINE_DIR"];
  if (own !== undefined && own !== "") return foreignEngine(own, own, "CLUSTERD_ENGINE_DIR", signal);
  const sources = findSources();
  const dir = join(engineCacheDir(), sources.fingerprint);
  if (!existsSync(join(dir, `llama-server${SUFFIX}`))) {
    try {
      await buildEngine(sources, dir, onProgress, signal);
    } catch (error) {
      const onPath = signal.aborted ? null : await engineOnPath(signal);
      if (onPath !== null) return onPath;
      throw error;
    }
  }
  return describe(dir, dir, sources.fingerprint, signal);
}

async function foreignEngine(serverDir: string, rpcDir: string, source: string, signal: AbortSignal): Promise<Engine> {
  const server = join(serverDir, `llama-server${SUFFIX}`);
  const rpc = rpcServerIn(rpcDir);
  if (!existsSync(server) || rpc === null) {
    const missing = [existsSync(server) ? "" : "llama-server", rpc === null ? "ggml-rpc-server" : ""].filter((name) => name !== "").join(" and ");
    throw new ClusterdError("engine_missing", `${source} (${serverDir}) has no ${missing}.`, { next: "Point it to a folder with both, or unset it to use clusterd's own engine." });
  }
  const print = [server, rpc].map((file) => [file, statSync(file).size, statSync(file).mtimeMs].join(":")).join("\n");
  return describe(serverDir, rpcDir, `own-${createHash("sha256").update(print).digest("hex").slice(0, 16)}`, signal);
}

async function engineOnPath(signal: AbortSignal): Promise<Engine | null> {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const server = folders.find((folder) => existsSync(join(folder, `llama-server${SUFFIX}`)));
  const rpc = folders.find((folder) => rpcServerIn(folder) !== null);
  if (server === undefined || rpc === undefined) return null;
  try {
    const engine = await foreignEngine(server, rpc, "PATH", signal);
    return sameRpcProtocol(engine.rpcProtocol, ENGINE_RPC_PROTOCOL) ? engine : null;
  } catch {
    return null;
  }
}

function rpcServerIn(folder: string): string | null {
  return [`ggml-rpc-server${SUFFIX}`, `rpc-server${SUFFIX}`].map((name) => join(folder, name)).find((path) => existsSync(path)) ?? null;
}

/** The engine in a folder with what it says of itself, asked once and kept beside the built engines. */
async function describe(dir: string, rpcDir: string, fingerprint: string, signal: AbortSignal): Promise<Engine> {
  const llamaServer = join(dir, `llama-server${SUFFIX}`);
  const rpcServer = rpcServerIn(rpcDir) ?? join(rpcDir, `ggml-rpc-server${SUFFIX}`);
  const factsFile = join(engineCacheDir(), `${fingerprint}.json`);
  let facts: Facts;
  try {
    facts = JSON.parse(await readFile(factsFile, "utf8")) as Facts;
  } catch {
    facts = await askFacts(llamaServer, rpcServer, signal);
    await mkdir(engineCacheDir(), { recursive: true });
    // A cache: where it cannot be written the engine is asked again next time.
    await writeFile(factsFile, JSON.stringify(facts)).catch(() => undefined);
  }
  return { dir, llamaServer, rpcServer, fingerprint, ...facts };
}

async function askFacts(llamaServer: string, rpcServer: string, signal: AbortSignal): Promise<Facts> {
  try {
    const version = await outputOf(llamaServer, ["--version"], signal);
    const devices = parseDevices(await outputOf(llamaServer, ["--list-devices"], signal));
    const [, release] = /version: (\S+)/.exec(version) ?? [];
    return { llamaCpp: `v${(release ?? "unknown").replace(/-dev$/, "")}`, rpcProtocol: await askRpcProtocol(rpcServer, signal), devices };
  } catch (error) {
    const known = asClusterdError(error);
    throw known.code === "engine_missing" ? known : new ClusterdError("engine_missing", `The engine at ${llamaServer} does not run here: ${known.message}`, { cause: error });
  }
}
