import { mkdir, mkdtemp, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { ClusterdError } from "@clusterd/wire";
import { takeBuildLock } from "./build-lock.ts";
import type { BuildTools } from "./build-tools.ts";
import { BuildStepError, compileEngine, copyLibraries } from "./compile.ts";
import { readRecord, writeRecord } from "./engine-record.ts";
import type { Engine, OnEngineProgress } from "./engine.ts";
import { fetchPackage } from "./fetch-package.ts";
import { addGpuBackend } from "./gpu-backend.ts";
import type { GpuFindings } from "./gpu-probe.ts";
import { inspectEngine } from "./inspect.ts";
import type { EnginePlatform } from "./platform.ts";
import { ENGINE_RPC_PROTOCOL, sameRpcProtocol } from "./rpc-protocol.ts";
import type { EngineSources } from "./sources.ts";

/** Engines of other releases or recipes that are kept in the cache, newest first. */
const ENGINES_KEPT_MAX = 6;
const LOG_LINES_SHOWN = 12;
const LOG_LINE_LENGTH_SHOWN = 240;

export interface BuildEngineOptions {
  readonly cacheFolder: string;
  readonly fingerprint: string;
  readonly platform: EnginePlatform;
  readonly sources: EngineSources;
  readonly gpus: GpuFindings;
  readonly tools: BuildTools;
  /** Builds anew although the cache has it. */
  readonly recheck: boolean;
  readonly onProgress: OnEngineProgress;
  readonly signal?: AbortSignal | undefined;
}

/** The folder of a platform's prebuilt libraries: installed with the packages, else fetched into `scratch`. */
export async function prebuiltLibraries(
  scratch: string,
  logFile: string,
  options: Pick<BuildEngineOptions, "platform" | "sources" | "tools" | "onProgress" | "signal">,
): Promise<string> {
  const { sources, platform, tools, signal } = options;
  const installed = sources.prebuiltFolder(platform.plainPackage);
  let bins = installed;
  if (bins === null) {
    // The package manager leaves out what the lockfile does not know for this platform.
    options.onProgress({ step: `fetching ${platform.plainPackage}`, fraction: null });
    const into = join(scratch, "prebuilt");
    const spec = { name: platform.plainPackage, version: sources.packageVersion };
    bins = join(await fetchPackage({ ...spec, into, cmake: tools.cmake, logFile, signal }), "bins");
  }
  const [folder] = await readdir(bins);
  if (folder === undefined) throw new ClusterdError("engine_missing", `${platform.plainPackage} holds no libraries.`);
  return join(bins, folder);
}

/** Makes a whole engine in `work/engine`, its record included. */
async function buildInto(work: string, logFile: string, options: BuildEngineOptions): Promise<string> {
  const { platform, sources, signal, onProgress, tools } = options;
  const output = join(work, "engine");
  const scratch = join(work, "scratch");
  await Promise.all([mkdir(output), mkdir(scratch)]);
  await copyLibraries(await prebuiltLibraries(scratch, logFile, options), output);
  const { release, bundle, recipeFolder, patches } = sources;
  await compileEngine({ tools, bundle, recipeFolder, patches, release, output, scratch, logFile, onProgress, signal });

  const suffix = platform.executableSuffix;
  const programs = { llamaServer: join(output, `llama-server${suffix}`), rpcServer: join(output, `ggml-rpc-server${suffix}`) };
  const notes = await addGpuBackend({
    variants: options.gpus.variants,
    platform: platform.name,
    packageVersion: sources.packageVersion,
    output,
    llamaServer: programs.llamaServer,
    scratch,
    cmake: tools.cmake,
    logFile,
    onProgress,
    signal,
  });
  onProgress({ step: "asking the engine what it can do", fraction: null });
  const { rpcProtocol, devices, localWeights } = await inspectEngine(programs, signal);
  if (!sameRpcProtocol(rpcProtocol, ENGINE_RPC_PROTOCOL)) {
    throw new ClusterdError(
      "protocol_mismatch",
      `llama.cpp ${release} speaks RPC protocol ${rpcProtocol}; this clusterd works with ${ENGINE_RPC_PROTOCOL}.`,
      { next: "Install the version of node-llama-cpp that clusterd's lockfile names." },
    );
  }
  const { fingerprint } = options;
  const all = [...options.gpus.notes, ...notes];
  const engine: Engine = {
    dir: output,
    ...programs,
    llamaCpp: release,
    rpcProtocol,
    fingerprint,
    devices,
    localWeights,
    notes: all,
  };
  await writeRecord(output, engine, true);
  return output;
}

/** Removes what dead builders left of this engine, and engines nobody built or rebuilt for the longest time. */
async function tidyCache(options: BuildEngineOptions): Promise<void> {
  const { cacheFolder, fingerprint } = options;
  const names = await readdir(cacheFolder);
  const left = names.filter((name) => name.startsWith(`.building-${fingerprint}-`));
  const engines = names.filter((name) => /^[0-9a-f]{20}$/.test(name) && name !== fingerprint);
  const aged = await Promise.all(engines.map(async (name) => ({ name, time: (await stat(join(cacheFolder, name))).mtimeMs })));
  const old = aged
    .sort((a, b) => b.time - a.time)
    .slice(ENGINES_KEPT_MAX)
    .map((engine) => engine.name);
  await Promise.all([...left, ...old].map((name) => rm(join(cacheFolder, name), { recursive: true, force: true })));
}

/** The lines of a build's output that tell what went wrong, else its last ones. */
export function lastWords(output: string): string {
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  const telling = lines.filter((line) => /\berror\b|fatal|No space left|Killed/i.test(line) && !/^\[\d+/.test(line));
  return (telling.length > 0 ? telling : lines)
    .slice(-LOG_LINES_SHOWN)
    .map((line) => line.slice(0, LOG_LINE_LENGTH_SHOWN))
    .join("\n");
}

function explain(error: unknown, logFile: string, signal: AbortSignal | undefined): unknown {
  signal?.throwIfAborted();
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOSPC") {
    return new ClusterdError("engine_missing", "There is no space left for the engine, which takes 500 MB while it is built.", {
      cause: error,
      next: `Make room on the disk of ${logFile}, or set XDG_CACHE_HOME to a folder on another one.`,
    });
  }
  if (!(error instanceof BuildStepError)) return error;
  return new ClusterdError("engine_missing", `${error.message}\n${lastWords(error.output)}`, {
    next: `The whole log is in ${logFile}. Or set CLUSTERD_ENGINE_DIR to a folder with a finished engine.`,
  });
}

/** Builds the engine beside its place in the cache and moves it there when it is whole. Builders take turns. */
export async function buildEngine(options: BuildEngineOptions): Promise<Engine> {
  const { cacheFolder, fingerprint, signal, onProgress } = options;
  const place = join(cacheFolder, fingerprint);
  const logFile = join(cacheFolder, `${fingerprint}.build.log`);
  await mkdir(cacheFolder, { recursive: true });
  const onWait = (pid: number): void =>
    onProgress({ step: `waiting for process ${pid}, which is building the engine`, fraction: null });
  await using _lock = await takeBuildLock(`${place}.lock`, { signal, onWait });
  const meanwhile = options.recheck ? null : await readRecord(place);
  if (meanwhile !== null) return meanwhile;
  await tidyCache(options);
  await rm(logFile, { force: true });
  const work = await mkdtemp(join(cacheFolder, `.building-${fingerprint}-`));
  try {
    const built = await buildInto(work, logFile, options);
    const aside = join(work, "replaced");
    await rename(place, aside).catch(() => undefined);
    await rename(built, place);
    await rm(logFile, { force: true });
  } catch (error) {
    throw explain(error, logFile, signal);
  } finally {
    await rm(work, { recursive: true, force: true, maxRetries: 3 });
  }
  const engine = await readRecord(place);
  if (engine === null) throw new ClusterdError("engine_missing", `The engine built into ${place} is gone again.`);
  return engine;
}
