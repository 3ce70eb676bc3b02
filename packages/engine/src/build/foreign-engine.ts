import { createHash } from "node:crypto";
import { mkdir, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { ClusterdError } from "@clusterd/wire";
import { readRecord, writeRecord } from "./engine-record.ts";
import type { Engine } from "./engine.ts";
import { inspectEngine, type EnginePrograms } from "./inspect.ts";
import { ENGINE_RPC_PROTOCOL, sameRpcProtocol } from "./rpc-protocol.ts";

const RPC_SERVER_NAMES = ["ggml-rpc-server", "rpc-server"];
const FINGERPRINT_LENGTH = 20;

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

/** Both programs in one folder, or the names of those that are not there. */
export async function programsIn(dir: string, suffix: string): Promise<EnginePrograms | { readonly missing: readonly string[] }> {
  const llamaServer = join(dir, `llama-server${suffix}`);
  const candidates = RPC_SERVER_NAMES.map((name) => join(dir, name + suffix));
  const present = await Promise.all([llamaServer, ...candidates].map(isFile));
  const rpcServer = candidates.find((_, index) => present[index + 1]);
  const missing = [
    ...(present[0] ? [] : [`llama-server${suffix}`]),
    ...(rpcServer === undefined ? [RPC_SERVER_NAMES.map((name) => name + suffix).join(" or ")] : []),
  ];
  return rpcServer === undefined || missing.length > 0 ? { missing } : { llamaServer, rpcServer };
}

/** A name for programs we did not build: as long as they are not replaced, it stays. */
async function foreignFingerprint(programs: EnginePrograms): Promise<string> {
  const files = await Promise.all([programs.llamaServer, programs.rpcServer].map((path) => stat(path)));
  const marks = files.map((file, index) => [Object.values(programs)[index], file.size, file.mtimeMs]);
  return createHash("sha256").update(JSON.stringify(marks)).digest("hex").slice(0, FINGERPRINT_LENGTH);
}

/** Asks an engine we did not build what it is; the answers are kept in the cache folder until its files change. */
export async function openForeignEngine(
  dir: string,
  programs: EnginePrograms,
  cacheFolder: string,
  options: { readonly recheck: boolean; readonly signal?: AbortSignal | undefined },
): Promise<Engine> {
  const fingerprint = await foreignFingerprint(programs);
  const folder = join(cacheFolder, "foreign");
  const file = `${fingerprint}.json`;
  const known = options.recheck ? null : await readRecord(folder, file);
  if (known !== null) return known;
  const { version, rpcProtocol, devices, localWeights } = await inspectEngine(programs, options.signal);
  const engine: Engine = { dir, ...programs, llamaCpp: version, rpcProtocol, fingerprint, devices, localWeights, notes: [] };
  await mkdir(folder, { recursive: true });
  await writeRecord(folder, engine, false, file);
  return engine;
}

/** The engine in CLUSTERD_ENGINE_DIR: it must be whole and speak our protocol, for it was asked for by name. */
export async function openNamedEngine(
  dir: string,
  suffix: string,
  cacheFolder: string,
  options: { readonly recheck: boolean; readonly signal?: AbortSignal | undefined },
): Promise<Engine> {
  const programs = await programsIn(dir, suffix);
  if ("missing" in programs) {
    throw new ClusterdError("engine_missing", `CLUSTERD_ENGINE_DIR is ${dir}, which lacks ${programs.missing.join(" and ")}.`, {
      next: "Point it at a folder that holds both, with their libraries, or unset it to have an engine built.",
      details: { missing: programs.missing },
    });
  }
  const engine = await openForeignEngine(dir, programs, cacheFolder, options);
  if (sameRpcProtocol(engine.rpcProtocol, ENGINE_RPC_PROTOCOL)) return engine;
  throw new ClusterdError(
    "protocol_mismatch",
    `The engine in CLUSTERD_ENGINE_DIR (${dir}) speaks RPC protocol ${engine.rpcProtocol}; this clusterd works with ${ENGINE_RPC_PROTOCOL}.`,
    { next: "Point it at an engine of that protocol, or unset it to have one built." },
  );
}

/** The first engine on PATH that speaks our protocol; null where there is none. */
export async function findEngineOnPath(
  suffix: string,
  cacheFolder: string,
  options: { readonly recheck: boolean; readonly signal?: AbortSignal | undefined },
  env: NodeJS.ProcessEnv = process.env,
): Promise<Engine | null> {
  for (const dir of (env["PATH"] ?? env["Path"] ?? "").split(delimiter).filter((dir) => dir !== "")) {
    const programs = await programsIn(dir, suffix);
    if ("missing" in programs) continue;
    try {
      const engine = await openForeignEngine(dir, programs, cacheFolder, options);
      if (sameRpcProtocol(engine.rpcProtocol, ENGINE_RPC_PROTOCOL)) return engine;
    } catch {
      // One that does not run is no engine; the search goes on.
      options.signal?.throwIfAborted();
    }
  }
  return null;
}
