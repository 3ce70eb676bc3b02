import { copyFile, mkdir, mkdtemp, readdir, rename, rm, stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { asClusterdError, ClusterdError } from "@clusterd/wire";
import type { EngineProgress } from "./engine.ts";
import { installHint, runTool } from "./run-tool.ts";
import type { EngineSources } from "./sources.ts";

/** What a worker and a head need of llama.cpp's source; the rest (models, docs, tests) is not unpacked. */
const SOURCE_FOLDERS: readonly string[] = ["common", "ggml/include", "ggml/src/*.h", "ggml/src/ggml-rpc", "include", "scripts", "src/*.h", "tools/mtmd", "tools/rpc", "tools/server", "tools/ui", "vendor", "licenses", "LICENSE*"];

const EXECUTABLE_SUFFIX: string = process.platform === "win32" ? ".exe" : "";

/**
 * Builds the engine into `target` (about 2 minutes on 2 cores), in a folder beside it that is renamed at the end: there is never half
 * an engine under the final name.
 */
export async function buildEngine(sources: EngineSources, target: string, onProgress: (progress: EngineProgress) => void, signal: AbortSignal): Promise<void> {
  const parent = join(target, "..");
  await mkdir(parent, { recursive: true });
  const work = await mkdtemp(join(parent, ".building-"));
  try {
    await needTools(signal);
    onProgress({ step: "unpacking llama.cpp's source", fraction: null });
    const source = join(work, "source");
    await runTool("git", ["clone", "-q", "--no-checkout", sources.bundle, source], signal);
    await runTool("git", ["-C", source, "checkout", "-q", "HEAD", "--", ...(await presentFolders(source, signal))], signal);
    const engine = join(work, "engine");
    await mkdir(engine);
    for (const file of await readdir(sources.prebuiltDir)) {
      // The add-on for Node is not part of the engine.
      if (!file.endsWith(".node")) await copyFile(join(sources.prebuiltDir, file), join(engine, file));
    }
    const build = join(work, "build");
    const ninja = await has("ninja", signal);
    onProgress({ step: "configuring", fraction: null });
    await runTool(
      "cmake",
      [
        ...(ninja ? ["-G", "Ninja"] : []),
        "-S", sources.cmakeDir, "-B", build, "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG", "-DCMAKE_C_FLAGS_RELEASE=-O1 -DNDEBUG",
        `-DLLAMA_SRC=${source}`, `-DPREBUILT=${engine}`, `-DRELEASE=${sources.release}`,
      ],
      signal,
    );
    await runTool("cmake", ["--build", build, "--config", "Release", "-j", String(availableParallelism())], signal, (line) => {
      const [, done, total] = /^\[\s*(\d+)\/(\d+)\]/.exec(line) ?? [];
      const [, percent] = /^\[\s*(\d+)%\]/.exec(line) ?? [];
      if (done !== undefined && total !== undefined) onProgress({ step: "compiling", fraction: Number(done) / Number(total) });
      else if (percent !== undefined) onProgress({ step: "compiling", fraction: Number(percent) / 100 });
    });
    for (const name of await builtFiles(build)) await copyFile(name.path, join(engine, name.file));
    await rename(engine, target).catch(async (error: unknown) => {
      // Somebody else finished the same engine first: theirs serves.
      if (!(await exists(target))) throw error;
    });
  } catch (error) {
    const known = asClusterdError(error);
    if (known.code === "failed") throw new ClusterdError("engine_missing", `The engine could not be built. ${known.message}`, { next: installHint(), cause: error });
    throw error;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function needTools(signal: AbortSignal): Promise<void> {
  const missing: string[] = [];
  for (const tool of ["git", "cmake"]) if (!(await has(tool, signal))) missing.push(tool);
  if (process.platform !== "win32") {
    const compilers = [process.env["CXX"], "c++", "g++", "clang++"].filter((name) => name !== undefined && name !== "");
    const found = await Promise.all(compilers.map((name) => has(name as string, signal)));
    if (!found.includes(true)) missing.push("a C++17 compiler (g++ or clang++)");
  }
  if (missing.length > 0) throw new ClusterdError("engine_missing", `The engine cannot be built here: ${missing.join(" and ")} not found.`, { next: installHint() });
}

async function has(tool: string, signal: AbortSignal): Promise<boolean> {
  try {
    await runTool(tool, ["--version"], signal);
    return true;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}

async function presentFolders(source: string, signal: AbortSignal): Promise<string[]> {
  const listed: string[] = [];
  await runTool("git", ["-C", source, "ls-tree", "-d", "--name-only", "HEAD"], signal, (line) => listed.push(line));
  return SOURCE_FOLDERS.filter((folder) => folder.includes("*") || listed.includes(folder.split("/")[0] ?? ""));
}

async function builtFiles(build: string): Promise<{ file: string; path: string }[]> {
  const names = [`llama-server${EXECUTABLE_SUFFIX}`, `ggml-rpc-server${EXECUTABLE_SUFFIX}`];
  const libraries = ["libggml-rpc.so", "libggml-rpc.dylib", "ggml-rpc.dll"];
  const found: { file: string; path: string }[] = [];
  for (const file of [...names, ...libraries]) {
    for (const path of [join(build, file), join(build, "Release", file)]) if (await exists(path)) found.push({ file, path });
  }
  return found;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
