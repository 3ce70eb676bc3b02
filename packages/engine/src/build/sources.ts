import { createHash } from "node:crypto";
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ClusterdError } from "@clusterd/wire";

/** What the engine is made of on this machine. */
export interface EngineSources {
  readonly release: string;
  readonly bundle: string;
  readonly prebuiltDir: string;
  readonly cmakeDir: string;
  readonly variant: string;
  readonly fingerprint: string;
}

/** Raised when the way of building changes without its inputs changing. */
const RECIPE = "1";

/** The prebuilt library package for a platform: plain CPU, or Metal where that comes with the platform. */
export function prebuiltVariant(platform: NodeJS.Platform, arch: string): string {
  if (platform === "darwin") return arch === "arm64" ? "mac-arm64-metal" : "mac-x64";
  if (platform === "win32") return `win-${arch}`;
  return `linux-${arch}`;
}

/** Finds the sources among the installed packages. Throws `engine_missing` naming what is not there. */
export function findSources(): EngineSources {
  const require = createRequire(import.meta.url);
  const reader = findPackage(dirname(realpathSync(require.resolve("node-llama-cpp"))));
  const variant = prebuiltVariant(process.platform, process.arch);
  const packageName = `@node-llama-cpp/${variant}`;
  let prebuiltPackage: string;
  try {
    prebuiltPackage = findPackage(dirname(realpathSync(createRequire(join(reader, "package.json")).resolve(packageName))));
  } catch (error) {
    throw new ClusterdError("engine_missing", `The prebuilt llama.cpp libraries for ${variant} (${packageName}) are not installed.`, {
      next: "Install the packages again with optional dependencies, or point CLUSTERD_ENGINE_DIR to a llama.cpp of your own.",
      cause: error,
    });
  }
  const bundle = join(reader, "llama", "gitRelease.bundle");
  const release = String((JSON.parse(readFileSync(join(reader, "llama", "llama.cpp.info.json"), "utf8")) as { tag?: unknown }).tag);
  const cmakeDir = fileURLToPath(new URL("../../cmake", import.meta.url));
  const version = (folder: string): string => String((JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { version?: unknown }).version);
  const fingerprint = createHash("sha256")
    .update([RECIPE, release, version(reader), variant, version(prebuiltPackage), readFileSync(join(cmakeDir, "CMakeLists.txt"), "utf8")].join("\n"))
    .digest("hex")
    .slice(0, 16);
  return { release, bundle, prebuiltDir: join(prebuiltPackage, "bins", variant), cmakeDir, variant, fingerprint: `${release}-${variant}-${fingerprint}` };
}

function findPackage(start: string): string {
  for (let folder = start; ; folder = dirname(folder)) {
    const file = join(folder, "package.json");
    if (existsSync(file) && "name" in (JSON.parse(readFileSync(file, "utf8")) as object)) return folder;
    if (dirname(folder) === folder) throw new ClusterdError("engine_missing", `No package holds ${start}.`);
  }
}

/** The user's cache folder for built engines, outside any checkout. */
export function engineCacheDir(env: NodeJS.ProcessEnv = process.env, platform: NodeJS.Platform = process.platform): string {
  if (env["XDG_CACHE_HOME"]) return join(env["XDG_CACHE_HOME"], "clusterd", "engine");
  if (platform === "darwin") return join(homedir(), "Library", "Caches", "clusterd", "engine");
  if (platform === "win32") return join(env["LOCALAPPDATA"] ?? join(homedir(), "AppData", "Local"), "clusterd", "engine");
  return join(homedir(), ".cache", "clusterd", "engine");
}
