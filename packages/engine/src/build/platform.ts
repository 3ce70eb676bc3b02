/** A machine as far as the engine's files depend on it. */
export interface EnginePlatform {
  /** node-llama-cpp's name of it, e.g. `linux-x64`, `mac-arm64`. */
  readonly name: string;
  /** The package of prebuilt libraries that serves without a GPU of another maker (on Apple's chips: with Metal). */
  readonly plainPackage: string;
  readonly executableSuffix: string;
}

const SYSTEMS: Readonly<Partial<Record<NodeJS.Platform, string>>> = { linux: "linux", darwin: "mac", win32: "win" };
const ARCHITECTURES: Readonly<Partial<Record<NodeJS.Architecture, string>>> = {
  x64: "x64",
  arm64: "arm64",
  arm: "armv7l",
  riscv64: "riscv64",
};

/** The engine's platform for a Node platform and architecture; null where no prebuilt libraries exist. */
export function enginePlatform(
  platform: NodeJS.Platform = process.platform,
  architecture: NodeJS.Architecture = process.arch,
): EnginePlatform | null {
  const system = SYSTEMS[platform];
  const machine = ARCHITECTURES[architecture];
  if (system === undefined || machine === undefined) return null;
  if (system !== "linux" && (machine === "armv7l" || machine === "riscv64")) return null;
  const name = `${system}-${machine}`;
  return {
    name,
    plainPackage: `@node-llama-cpp/${name === "mac-arm64" ? "mac-arm64-metal" : name}`,
    executableSuffix: system === "win" ? ".exe" : "",
  };
}
