import { join, resolve } from "node:path";
import { ClusterdError } from "@clusterd/wire";
import { buildEngine } from "./build-engine.ts";
import { findBuildTools } from "./build-tools.ts";
import { engineCacheFolder } from "./cache-folder.ts";
import { readRecord } from "./engine-record.ts";
import type { Engine, OnEngineProgress } from "./engine.ts";
import { engineFingerprint } from "./fingerprint.ts";
import { findEngineOnPath, openNamedEngine } from "./foreign-engine.ts";
import { probeGpus, type GpuFindings } from "./gpu-probe.ts";
import { enginePlatform, type EnginePlatform } from "./platform.ts";
import { findEngineSources, type EngineSources } from "./sources.ts";

export interface EngineSearchOptions {
  /** Asks again what is otherwise remembered: devices, protocol, and whether a GPU backend loads now. */
  readonly recheck?: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface EnsureEngineOptions extends EngineSearchOptions {
  readonly onProgress?: OnEngineProgress;
}

interface OwnEngine {
  readonly cacheFolder: string;
  readonly platform: EnginePlatform;
  readonly sources: EngineSources;
  readonly gpus: GpuFindings;
  readonly fingerprint: string;
}

function supportedPlatform(): EnginePlatform {
  const platform = enginePlatform();
  if (platform !== null) return platform;
  throw new ClusterdError("engine_missing", `There is no engine for ${process.platform} on ${process.arch}.`, {
    next: "Build llama.cpp with GGML_RPC there and set CLUSTERD_ENGINE_DIR to the folder of its programs.",
  });
}

/** What our engine on this machine would be, built or not. Reads a few files, starts nothing. */
async function ownEngine(platform: EnginePlatform): Promise<OwnEngine> {
  const sources = await findEngineSources();
  const gpus = probeGpus(platform.name);
  const fingerprint = engineFingerprint({
    release: sources.release,
    packageVersion: sources.packageVersion,
    recipe: sources.recipe,
    platform: platform.name,
    variants: gpus.variants.map((variant) => variant.name),
  });
  return { cacheFolder: engineCacheFolder(), platform, sources, gpus, fingerprint };
}

async function namedEngine(options: EngineSearchOptions): Promise<Engine | null> {
  const dir = process.env["CLUSTERD_ENGINE_DIR"];
  if (dir === undefined || dir === "") return null;
  const suffix = process.platform === "win32" ? ".exe" : "";
  const { recheck = false, signal } = options;
  return openNamedEngine(resolve(dir), suffix, engineCacheFolder(), { recheck, signal });
}

async function engineOnPath(options: EngineSearchOptions): Promise<Engine | null> {
  const { recheck = false, signal } = options;
  return findEngineOnPath(process.platform === "win32" ? ".exe" : "", engineCacheFolder(), { recheck, signal });
}

/** The engine that is there already, without building one: named, built before, or on PATH. */
export async function findEngine(options: EngineSearchOptions = {}): Promise<Engine | null> {
  const named = await namedEngine(options);
  if (named !== null) return named;
  const platform = enginePlatform();
  if (platform !== null) {
    const own = await ownEngine(platform).catch(() => null);
    const cached = own === null ? null : await readRecord(join(own.cacheFolder, own.fingerprint));
    if (cached !== null) return cached;
  }
  return engineOnPath(options);
}

/**
 * The engine: the one CLUSTERD_ENGINE_DIR names, else ours, built where the cache does not have it. Programs on PATH serve only
 * where ours cannot be built: all nodes of a cluster with the same build is worth more than the minute it takes.
 */
export async function ensureEngine(options: EnsureEngineOptions = {}): Promise<Engine> {
  const { recheck = false, signal, onProgress = (): void => undefined } = options;
  signal?.throwIfAborted();
  const named = await namedEngine(options);
  if (named !== null) return named;
  try {
    const own = await ownEngine(supportedPlatform());
    const cached = recheck ? null : await readRecord(join(own.cacheFolder, own.fingerprint));
    if (cached !== null) return cached;
    return await buildEngine({ ...own, tools: await findBuildTools(), recheck, onProgress, signal });
  } catch (error) {
    signal?.throwIfAborted();
    const found = await engineOnPath(options);
    if (found === null) throw error;
    const why = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
    return { ...found, notes: [...found.notes, `The programs on PATH are used, for none could be built: ${why}`] };
  }
}
