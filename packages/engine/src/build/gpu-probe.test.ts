import { describe, expect, test } from "vitest";
import { probeGpus, type FileView } from "./gpu-probe.ts";

function machine(...paths: string[]): FileView {
  return {
    exists: (path) => paths.includes(path),
    list: (folder) => {
      const below = paths.filter((path) => path.startsWith(`${folder}/`) || path.startsWith(`${folder}\\`));
      return [...new Set(below.map((path) => path.slice(folder.length + 1).split(/[/\\]/)[0] ?? ""))];
    },
  };
}

const names = (files: FileView, platform = "linux-x64", env: NodeJS.ProcessEnv = {}): string[] =>
  probeGpus(platform, files, env).variants.map((variant) => variant.name);

const DRIVER = ["/dev/nvidiactl", "/usr/lib/x86_64-linux-gnu/libcuda.so.1"];
const runtime = (folder: string, major: number): string[] =>
  ["cudart", "cublas", "cublasLt"].map((name) => `${folder}/lib${name}.so.${major}`);

describe("the search for GPUs", () => {
  test("finds none on a plain machine, nor where only Vulkan's loader is", () => {
    expect(names(machine())).toEqual([]);
    expect(names(machine("/usr/lib/x86_64-linux-gnu/libvulkan.so.1"))).toEqual([]);
    expect(names(machine("/usr/lib/x86_64-linux-gnu/libvulkan.so.1", "/dev/dri/renderD128"))).toEqual(["vulkan"]);
  });

  test("takes the CUDA backend that fits the installed runtime", () => {
    expect(names(machine(...DRIVER, ...runtime("/usr/local/cuda-13.0/lib64", 13)))).toEqual(["cuda"]);
    expect(names(machine(...DRIVER, ...runtime("/usr/lib/x86_64-linux-gnu", 12)))).toEqual(["cuda-ext"]);
    expect(names(machine(...DRIVER, ...runtime("/usr/lib/x86_64-linux-gnu", 12).slice(1)))).toEqual([]);
  });

  test("says what an NVIDIA card lacks, and tries Vulkan", () => {
    const found = probeGpus("linux-x64", machine(...DRIVER, "/usr/lib/x86_64-linux-gnu/libvulkan.so.1"), {});
    expect(found.variants.map((variant) => variant.name)).toEqual(["vulkan"]);
    expect(found.notes.join()).toMatch(/CUDA toolkit/);
  });

  test("remembers where the runtime's libraries lie", () => {
    const files = runtime("/usr/local/cuda-13.0/lib64", 13);
    expect(probeGpus("linux-x64", machine(...DRIVER, ...files), {}).variants[0]?.runtimeFiles).toEqual(files);
  });

  test("knows Windows' drivers", () => {
    const system = "C:\\Windows\\System32";
    const env = { SystemRoot: "C:\\Windows", CUDA_PATH: "C:\\CUDA" };
    expect(names(machine(`${system}\\vulkan-1.dll`), "win-x64", env)).toEqual(["vulkan"]);
    expect(names(machine(`${system}\\nvcuda.dll`, "C:\\CUDA\\bin\\cudart64_12.dll"), "win-x64", env)).toEqual(["cuda-ext"]);
  });

  test("has nothing to add where no GPU package exists", () => {
    const everything = machine(...DRIVER, ...runtime("/usr/lib/aarch64-linux-gnu", 13));
    expect(names(everything, "linux-arm64")).toEqual([]);
    expect(names(everything, "mac-arm64")).toEqual([]);
  });
});
