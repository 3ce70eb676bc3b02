import { access, constants, readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { ClusterdError } from "@clusterd/wire";

/** Programs the build uses, found on PATH. `ninja` is null where make does the work. */
export interface BuildTools {
  readonly cmake: string;
  readonly git: string;
  readonly ninja: string | null;
}

/** The path of a program, searched in the folders of PATH; null where it is not there. */
export async function findProgram(names: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<string | null> {
  const suffixes = process.platform === "win32" ? [".exe", ".cmd"] : [""];
  for (const folder of (env["PATH"] ?? env["Path"] ?? "").split(delimiter).filter((folder) => folder !== "")) {
    for (const name of names.flatMap((name) => suffixes.map((suffix) => name + suffix))) {
      const path = join(folder, name);
      try {
        await access(path, constants.X_OK);
        return path;
      } catch {
        // Not in this folder.
      }
    }
  }
  return null;
}

/** How packages are installed on a Linux distribution, from the text of its os-release file. */
export function linuxInstallCommand(osRelease: string): string {
  const stated = [...osRelease.matchAll(/^(?:ID|ID_LIKE)="?([^"\n]*)"?$/gm)];
  const ids = new Set(stated.flatMap((match) => (match[1] ?? "").split(" ")));
  const is = (...names: string[]): boolean => names.some((name) => ids.has(name));
  if (is("debian", "ubuntu")) return "sudo apt-get install cmake g++ git ninja-build";
  if (is("fedora", "rhel", "centos")) return "sudo dnf install cmake gcc-c++ git ninja-build";
  if (is("arch")) return "sudo pacman -S cmake gcc git ninja";
  if (is("alpine")) return "sudo apk add cmake g++ git ninja";
  if (is("suse", "opensuse")) return "sudo zypper install cmake gcc-c++ git ninja";
  return "install CMake, a C++17 compiler, git and ninja with your package manager";
}

async function installHint(): Promise<string> {
  if (process.platform === "darwin")
    return "`xcode-select --install` for the compiler and git, `brew install cmake ninja` for CMake";
  if (process.platform === "win32") {
    return "`winget install Kitware.CMake Git.Git Ninja-build.Ninja` and the Visual Studio Build Tools with the workload “Desktop development with C++”";
  }
  const command = linuxInstallCommand(await readFile("/etc/os-release", "utf8").catch(() => ""));
  return command.startsWith("sudo") ? `\`${command}\`` : command;
}

/** Finds what the build needs, or says exactly what to install. */
export async function findBuildTools(env: NodeJS.ProcessEnv = process.env): Promise<BuildTools> {
  const compilers =
    env["CXX"] === undefined ? ["c++", "g++", "clang++"] : [env["CXX"].split(" ")[0] ?? "", "c++", "g++", "clang++"];
  const [cmake, git, ninja, make, compiler] = await Promise.all([
    findProgram(["cmake"], env),
    findProgram(["git"], env),
    findProgram(["ninja"], env),
    findProgram(["make", "gmake"], env),
    findProgram(compilers, env),
  ]);
  const missing: string[] = [];
  if (cmake === null) missing.push("CMake");
  // On Windows CMake finds Visual Studio's compiler, which is not on PATH.
  if (compiler === null && process.platform !== "win32" && !env["CXX"]?.includes("/")) missing.push("a C++17 compiler");
  if (git === null) missing.push("git");
  if (ninja === null && make === null && process.platform !== "win32") missing.push("ninja or make");
  if (cmake === null || git === null || missing.length > 0) {
    throw new ClusterdError("engine_missing", `The engine cannot be built: ${missing.join(", ")} not found on PATH.`, {
      next: `Install what is missing: ${await installHint()}. Or set CLUSTERD_ENGINE_DIR to a folder with a finished engine.`,
      details: { missing },
    });
  }
  return { cmake, git, ninja };
}
