import { createHash } from "node:crypto";
import { chmod, mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { prebuiltLibraries } from "../../../packages/engine/src/build/build-engine.ts";
import { takeBuildLock } from "../../../packages/engine/src/build/build-lock.ts";
import { findBuildTools, findProgram } from "../../../packages/engine/src/build/build-tools.ts";
import { engineCacheFolder } from "../../../packages/engine/src/build/cache-folder.ts";
import { compileEngine, copyLibraries } from "../../../packages/engine/src/build/compile.ts";
import { engineFingerprint } from "../../../packages/engine/src/build/fingerprint.ts";
import { enginePlatform, type EnginePlatform } from "../../../packages/engine/src/build/platform.ts";
import { findEngineSources } from "../../../packages/engine/src/build/sources.ts";
import type { Engine } from "../../../packages/engine/src/index.ts";

/** Where Debian's cross compiler has arm64's C library, and the loader that the emulator starts programs with. */
const ARM64_ROOT = "/usr/aarch64-linux-gnu";
/** As in a Raspberry Pi 5. The emulator's own default has every extension there is, which no machine has, and is slower. */
const ARM64_CPU = "cortex-a76";
const RPC_SERVER = "ggml-rpc-server";
const KEY_LENGTH = 20;

/** What makes arm64 programs on this machine, and what runs them. */
export interface Arm64Tools {
  readonly platform: EnginePlatform;
  readonly cc: string;
  readonly cxx: string;
  readonly emulator: string;
}

/** The tools, or why there can be no arm64 worker here. */
export async function findArm64Tools(): Promise<Arm64Tools | { readonly missing: string }> {
  const platform = enginePlatform("linux", "arm64");
  if (process.platform !== "linux" || process.arch === "arm64" || platform === null)
    return { missing: `no emulation on ${process.platform} ${process.arch}` };
  const [cc, cxx, emulator] = await Promise.all([
    findProgram(["aarch64-linux-gnu-gcc"]),
    findProgram(["aarch64-linux-gnu-g++"]),
    findProgram(["qemu-aarch64-static", "qemu-aarch64"]),
  ]);
  if (cc === null || cxx === null || !existsSync(join(ARM64_ROOT, "lib")))
    return { missing: "g++-aarch64-linux-gnu is not installed" };
  if (emulator === null) return { missing: "qemu-user-static is not installed" };
  return { platform, cc, cxx, emulator };
}

/** A folder for CLUSTERD_ENGINE_DIR: the native llama-server, which a worker never starts, and an arm64 rpc-server. */
export interface Arm64Engine {
  readonly dir: string;
  /** The arm64 program itself. */
  readonly rpcServer: string;
}

/** Makes the folder, or finds it in the cache beside the native engine, from the same sources by the same recipe. */
export async function arm64Engine(native: Engine, tools: Arm64Tools): Promise<Arm64Engine> {
  const sources = await findEngineSources();
  const { release, packageVersion, recipe } = sources;
  const fingerprint = engineFingerprint({ release, packageVersion, recipe, platform: tools.platform.name, variants: [] });
  // The daemon runs it as any rpc-server: one process, which the emulator takes the place of the shell in.
  const script = `#!/bin/sh\nexec ${tools.emulator} -cpu ${ARM64_CPU} -L ${ARM64_ROOT} "\${0%/*}/arm64/${RPC_SERVER}" "$@"\n`;
  const inputs = JSON.stringify([fingerprint, native.llamaServer, script]);
  const key = createHash("sha256").update(inputs).digest("hex").slice(0, KEY_LENGTH);

  const cacheFolder = engineCacheFolder();
  const dir = join(cacheFolder, key);
  const engine = { dir, rpcServer: join(dir, "arm64", RPC_SERVER) };
  await mkdir(cacheFolder, { recursive: true });
  await using _lock = await takeBuildLock(`${dir}.lock`);
  if (existsSync(dir)) return engine;
  const work = join(cacheFolder, `.building-${key}`);
  await rm(work, { recursive: true, force: true });
  const [whole, scratch, logFile] = [join(work, "engine"), join(work, "scratch"), `${dir}.build.log`];
  const output = join(whole, "arm64");
  await Promise.all([output, scratch].map((folder) => mkdir(folder, { recursive: true })));
  const build = { tools: await findBuildTools(), onProgress: () => undefined };
  await copyLibraries(await prebuiltLibraries(scratch, logFile, { ...build, sources, platform: tools.platform }), output);
  await compileEngine({
    ...build,
    ...sources,
    output,
    scratch,
    logFile,
    cross: {
      settings: {
        CMAKE_SYSTEM_NAME: "Linux",
        CMAKE_SYSTEM_PROCESSOR: "aarch64",
        CMAKE_C_COMPILER: tools.cc,
        CMAKE_CXX_COMPILER: tools.cxx,
      },
      targets: ["ggml-rpc", RPC_SERVER],
    },
  });
  await writeFile(join(whole, RPC_SERVER), script);
  await chmod(join(whole, RPC_SERVER), 0o755);
  await symlink(native.llamaServer, join(whole, "llama-server"));
  await rename(whole, dir);
  await Promise.all([rm(work, { recursive: true, force: true }), rm(logFile, { force: true })]);
  return engine;
}
