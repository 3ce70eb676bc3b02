import { copyFile, constants, readdir } from "node:fs/promises";
import { availableParallelism, freemem, totalmem } from "node:os";
import { join } from "node:path";
import type { BuildTools } from "./build-tools.ts";
import { runCommand } from "./command.ts";
import type { OnEngineProgress } from "./engine.ts";

/** A batch of sources takes up to this much memory in the compiler. */
const JOB_BYTES = 1.1e9;
const JOBS_MAX = 16;
const BUILD_TIMEOUT_MS = 40 * 60_000;

/** What of llama.cpp's tree the build reads. */
const SOURCE_PATHS = [
  "include",
  "common/*.h",
  "common/*.hpp",
  "vendor",
  "ggml/include",
  "ggml/src/*.h",
  "ggml/src/ggml-rpc",
  "src/*.h",
  "tools/server/*.cpp",
  "tools/server/*.h",
  "tools/mtmd/*.cpp",
  "tools/mtmd/*.h",
  "tools/rpc",
  "tools/ui/*.in",
];

export interface CompileOptions {
  readonly tools: BuildTools;
  readonly bundle: string;
  readonly recipeFolder: string;
  /** Paths of our changes to the source. */
  readonly patches: readonly string[];
  readonly release: string;
  /** The folder that holds the prebuilt libraries and gets the results. */
  readonly output: string;
  /** A folder for everything in between. */
  readonly scratch: string;
  readonly logFile: string;
  /** For another machine: what CMake is told of it, and the programs to make. Without it: all of them, for this one. */
  readonly cross?: { readonly settings: Readonly<Record<string, string>>; readonly targets: readonly string[] };
  readonly onProgress: OnEngineProgress;
  readonly signal?: AbortSignal | undefined;
}

/** A step of the build that ended with an error, and the end of what it printed. */
export class BuildStepError extends Error {
  readonly output: string;

  constructor(step: string, code: number | null, output: string) {
    super(`${step} failed (status ${code}).`);
    this.name = "BuildStepError";
    this.output = output;
  }
}

/** How many compilers to run at once: one per processor, less where memory would not do. */
export function compileJobs(processors: number, memoryBytes: number): number {
  return Math.max(1, Math.min(JOBS_MAX, processors, Math.floor(memoryBytes / JOB_BYTES)));
}

/** How far a build is, from a line of ninja (`[3/16] …`) or make (`[ 18%] …`); null where the line does not tell. */
export function buildFraction(line: string): number | null {
  const ninja = /^\[(\d+)\/(\d+)\]/.exec(line);
  if (ninja !== null) return Number(ninja[1]) / Number(ninja[2]);
  const make = /^\[\s*(\d+)%\]/.exec(line);
  return make === null ? null : Number(make[1]) / 100;
}

/** An environment for git that no surrounding git command (a hook, say) has marked. */
function plainGitEnvironment(): NodeJS.ProcessEnv {
  const env = { ...process.env };
  for (const name of ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"]) delete env[name];
  return { ...env, GIT_TERMINAL_PROMPT: "0" };
}

async function step(what: string, file: string, args: readonly string[], options: CompileOptions): Promise<void> {
  const result = await runCommand(file, args, {
    signal: options.signal,
    timeoutMs: BUILD_TIMEOUT_MS,
    logFile: options.logFile,
    env: plainGitEnvironment(),
    onLine: (line) => {
      const fraction = buildFraction(line);
      if (fraction !== null) options.onProgress({ step: what, fraction });
    },
  });
  if (result.code === 0) return;
  throw new BuildStepError(what, result.code, result.output);
}

async function checkOutSource(options: CompileOptions): Promise<string> {
  const source = join(options.scratch, "source");
  const { git } = options.tools;
  const what = "unpacking llama.cpp's source";
  options.onProgress({ step: what, fraction: null });
  await step(what, git, ["-c", "core.autocrlf=false", "clone", "--quiet", "--no-checkout", options.bundle, source], options);
  // Only what is read: the tree has 3,600 files.
  await step(
    what,
    git,
    ["-C", source, "-c", "core.autocrlf=false", "checkout", "HEAD", "--quiet", "--", ...SOURCE_PATHS],
    options,
  );
  for (const patch of options.patches) await step("patching llama.cpp", git, ["-C", source, "apply", patch], options);
  return source;
}

async function compileSource(source: string, batched: boolean, options: CompileOptions): Promise<void> {
  const { cmake, ninja } = options.tools;
  const build = join(options.scratch, batched ? "batched" : "single");
  // macOS counts cached pages as used.
  const jobs = compileJobs(availableParallelism(), Math.max(freemem(), totalmem() / 2));
  const what = "compiling the engine";
  options.onProgress({ step: what, fraction: 0 });
  const settings = {
    CMAKE_BUILD_TYPE: "Release",
    LLAMA_SRC: source,
    PREBUILT: options.output,
    OUTPUT: options.output,
    RELEASE: options.release,
    JOBS: String(jobs),
    BATCHED: batched ? "ON" : "OFF",
    ...options.cross?.settings,
  };
  const definitions = Object.entries(settings).map(([name, value]) => `-D${name}=${value}`);
  const generator = ninja === null ? [] : ["-G", "Ninja", `-DCMAKE_MAKE_PROGRAM=${ninja}`];
  await step(what, cmake, ["-S", options.recipeFolder, "-B", build, ...generator, ...definitions], options);
  const targets = options.cross === undefined ? [] : ["--target", ...options.cross.targets];
  await step(what, cmake, ["--build", build, "--config", "Release", "-j", String(jobs), ...targets], options);
}

/** Copies prebuilt libraries, and nothing else, from a package's folder. */
export async function copyLibraries(from: string, to: string): Promise<void> {
  const names = (await readdir(from)).filter((name) => /\.(so|dylib|dll|lib|metal|metallib)$/.test(name));
  await Promise.all(names.map((name) => copyFile(join(from, name), join(to, name), constants.COPYFILE_FICLONE)));
}

/** Compiles the parts that no package ships into the folder of the prebuilt libraries. */
export async function compileEngine(options: CompileOptions): Promise<void> {
  const source = await checkOutSource(options);
  try {
    await compileSource(source, true, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (!(error instanceof BuildStepError)) throw error;
    // A compiler that does not take several sources at once, or ran out of memory, gets them one by one.
    options.onProgress({ step: "compiling the engine, source by source", fraction: null });
    await compileSource(source, false, options);
  }
}
