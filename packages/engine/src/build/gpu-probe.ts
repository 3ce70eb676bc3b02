import { existsSync, readdirSync } from "node:fs";

/** What a probe may see of a machine: tests give it a machine of their own. */
export interface FileView {
  exists(path: string): boolean;
  /** Names in a folder; none where there is no such folder. */
  list(path: string): readonly string[];
}

/** This machine's files. */
export const machineFiles: FileView = {
  exists: existsSync,
  list: (path) => {
    try {
      return readdirSync(path);
    } catch {
      return [];
    }
  },
};

/** A GPU backend that may be added to the engine, with where it comes from. */
export interface GpuVariant {
  readonly name: "cuda" | "cuda-ext" | "vulkan";
  /** Libraries of the system it needs and the loader might not find by itself. */
  readonly runtimeFiles: readonly string[];
}

export interface GpuFindings {
  /** To be tried in this order until one loads. */
  readonly variants: readonly GpuVariant[];
  readonly notes: readonly string[];
}

const LINUX_LIBRARY_FOLDERS = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/lib64"];
const WSL_FOLDER = "/usr/lib/wsl/lib";

/** CUDA generations, newest first, with the package that has a backend linked against each. */
const CUDA_GENERATIONS = [
  { major: 13, name: "cuda" },
  { major: 12, name: "cuda-ext" },
] as const;

function firstExisting(files: FileView, folders: readonly string[], name: string): string | null {
  for (const folder of folders) {
    const path = `${folder}/${name}`;
    if (files.exists(path)) return path;
  }
  return null;
}

function cudaFoldersOnLinux(files: FileView): string[] {
  const installs = files.list("/usr/local").filter((name) => name.startsWith("cuda"));
  return installs.flatMap((name) => [`/usr/local/${name}/lib64`, `/usr/local/${name}/targets/x86_64-linux/lib`]);
}

/** An NVIDIA card with its driver: the driver's library, and a device node (WSL has one of its own). */
export function probeCudaOnLinux(files: FileView): GpuFindings {
  const device = files.exists("/dev/nvidiactl") || files.exists("/dev/dxg");
  const driver = firstExisting(files, [...LINUX_LIBRARY_FOLDERS, WSL_FOLDER], "libcuda.so.1");
  if (!device || driver === null) return { variants: [], notes: [] };
  const folders = [...LINUX_LIBRARY_FOLDERS, ...cudaFoldersOnLinux(files)];
  const variants: GpuVariant[] = [];
  for (const { major, name } of CUDA_GENERATIONS) {
    const needed = ["cudart", "cublas", "cublasLt"].map((library) => firstExisting(files, folders, `lib${library}.so.${major}`));
    const runtimeFiles = needed.filter((path) => path !== null);
    if (runtimeFiles.length === needed.length) variants.push({ name, runtimeFiles });
  }
  if (variants.length > 0) return { variants, notes: [] };
  const note =
    "An NVIDIA card is here but CUDA's runtime libraries (libcudart and libcublas, 12 or 13) are not: install the CUDA toolkit to use it.";
  return { variants: [], notes: [note] };
}

/** A graphics card that Vulkan may reach: the loader, and a render node; a loader alone comes with many programs. */
export function probeVulkanOnLinux(files: FileView): GpuFindings {
  const loader = firstExisting(files, [...LINUX_LIBRARY_FOLDERS, WSL_FOLDER], "libvulkan.so.1");
  const card = files.list("/dev/dri").some((name) => name.startsWith("renderD")) || files.exists("/dev/nvidiactl");
  return { variants: loader !== null && card ? [{ name: "vulkan", runtimeFiles: [] }] : [], notes: [] };
}

/** On Windows the driver brings nvcuda.dll and vulkan-1.dll into the system folder. */
export function probeOnWindows(files: FileView, env: NodeJS.ProcessEnv): GpuFindings {
  const system = `${env["SystemRoot"] ?? "C:\\Windows"}\\System32`;
  const variants: GpuVariant[] = [];
  // CUDA's installer names its folder in CUDA_PATH and puts its bin folder on PATH, so the loader finds the runtime.
  const toolkit = env["CUDA_PATH"];
  if (toolkit !== undefined && files.exists(`${system}\\nvcuda.dll`)) {
    const libraries = new Set([...files.list(`${toolkit}\\bin`), ...files.list(`${toolkit}\\bin\\x64`)]);
    for (const { major, name } of CUDA_GENERATIONS) {
      if (libraries.has(`cudart64_${major}.dll`)) variants.push({ name, runtimeFiles: [] });
    }
  }
  if (files.exists(`${system}\\vulkan-1.dll`)) variants.push({ name: "vulkan", runtimeFiles: [] });
  return { variants, notes: [] };
}

/** GPU backends worth trying on a machine. Looks at files only, in well under a millisecond. */
export function probeGpus(platform: string, files: FileView = machineFiles, env: NodeJS.ProcessEnv = process.env): GpuFindings {
  // Prebuilt GPU backends exist for x64 alone; Apple's plain package has Metal in it.
  if (platform === "win-x64") return probeOnWindows(files, env);
  if (platform !== "linux-x64") return { variants: [], notes: [] };
  const cuda = probeCudaOnLinux(files);
  const vulkan = probeVulkanOnLinux(files);
  return { variants: [...cuda.variants, ...vulkan.variants], notes: [...cuda.notes, ...vulkan.notes] };
}
