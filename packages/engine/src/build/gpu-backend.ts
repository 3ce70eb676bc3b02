import { readdir, rename, rm, symlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { asClusterdError } from "@clusterd/wire";
import type { OnEngineProgress } from "./engine.ts";
import { fetchPackage } from "./fetch-package.ts";
import type { GpuVariant } from "./gpu-probe.ts";
import { askDevices } from "./inspect.ts";

export interface GpuBackendOptions {
  readonly variants: readonly GpuVariant[];
  readonly platform: string;
  readonly packageVersion: string;
  /** The engine's folder, with llama-server built. */
  readonly output: string;
  readonly llamaServer: string;
  readonly scratch: string;
  readonly cmake: string;
  readonly logFile: string;
  readonly onProgress: OnEngineProgress;
  readonly signal?: AbortSignal | undefined;
}

async function findBackend(folder: string): Promise<string | null> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const found = entries.find((entry) => entry.isFile() && /^(lib)?ggml-(cuda|vulkan)\.(so|dll)$/.test(entry.name));
  return found === undefined ? null : join(found.parentPath, found.name);
}

async function tryVariant(variant: GpuVariant, options: GpuBackendOptions): Promise<string | null> {
  const { output, signal } = options;
  options.onProgress({ step: `fetching the ${variant.name} backend`, fraction: null });
  const folder = await fetchPackage({
    ...options,
    name: `@node-llama-cpp/${options.platform}-${variant.name}`,
    version: options.packageVersion,
    into: join(options.scratch, variant.name),
  });
  const backend = await findBackend(folder);
  if (backend === null) return "its package has no backend in it";
  const added = [join(output, basename(backend))];
  await rename(backend, added[0] as string);
  for (const file of variant.runtimeFiles) {
    const link = join(output, basename(file));
    await symlink(file, link);
    added.push(link);
  }
  // All variants are built with the same base library, so their backend fits beside the processor's.
  const devices = await askDevices(options.llamaServer, signal).catch(() => []);
  if (devices.length > 0) return null;
  await Promise.all(added.map((path) => rm(path, { force: true })));
  return "it found no device when loaded";
}

/** Adds the first GPU backend that really loads on this machine. Returns notes on those that do not. */
export async function addGpuBackend(options: GpuBackendOptions): Promise<string[]> {
  const notes: string[] = [];
  for (const variant of options.variants) {
    let why: string | null;
    try {
      why = await tryVariant(variant, options);
    } catch (error) {
      options.signal?.throwIfAborted();
      why = asClusterdError(error).message;
    }
    if (why === null) return notes;
    notes.push(`The GPU backend ${variant.name} is not used: ${why}`);
  }
  if (notes.length > 0) notes.push("Only the processor computes. `clusterd engine --recheck` tries again.");
  return notes;
}
