import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, readdir, rename, stat, unlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { ModelProfile } from "@clusterd/wire";
import { brokenModel } from "./broken-model.ts";
import { buildProfile } from "./build-profile.ts";
import { guardHeader, newContentHash, type GuardedHeader } from "./header-guard.ts";
import { CACHED_PROFILES_MAX, CACHED_PROFILE_BYTES_MAX } from "./limits.ts";
import { findProjector, projectorFiles } from "./projector.ts";
import { readMetadata } from "./read-metadata.ts";
import { checkParts, partPaths } from "./split-parts.ts";

/** Raised when profiles come out differently for the same file. */
const PROFILE_VERSION = 9;

/** A model on this machine's disk. */
export interface ModelFile {
  readonly profile: ModelProfile;
  /** Of the first part. */
  readonly path: string;
  readonly parts: readonly string[];
}

export interface ReadModelOptions {
  readonly signal: AbortSignal;
  /** Where profiles are kept, so that an unchanged file is read once. */
  readonly cacheDir?: string;
  /** What it may see images with, where that does not lie beside it under a name that says so. */
  readonly projectorPath?: string;
}

/**
 * Reads a model's profile from its file's header, all parts checked against the disk first: a truncated, corrupt or incomplete model is
 * refused (`model_broken`, sizes named) before any process is started for it.
 */
export async function readModelFile(path: string, options: ReadModelOptions): Promise<ModelFile> {
  const whole = await firstPart(path);
  const parts = await partPaths(whole);
  const beside = await projectors(parts[0] ?? whole, options.projectorPath);
  const key = await fingerprint([...parts, ...beside]);
  const cached = options.cacheDir === undefined ? null : await fromCache(options.cacheDir, key);
  if (cached !== null) return { profile: cached, path: parts[0] ?? whole, parts };
  const hash = newContentHash();
  const headers: GuardedHeader[] = [];
  for (const part of parts) headers.push(await guardHeader(part, hash, options.signal));
  checkParts(headers);
  const built = buildProfile(headers, hash.digest("hex"), await readMetadata(parts[0] ?? whole, options.signal));
  const profile = { ...built, projector: await findProjector(parts[0] ?? whole, beside, built.embeddingLength, options.signal) };
  if (options.cacheDir !== undefined) await intoCache(options.cacheDir, key, profile);
  return { profile, path: parts[0] ?? whole, parts };
}

/** Files that may be a model's projector, the one that it is known to have come with first. */
async function projectors(model: string, known: string | undefined): Promise<readonly string[]> {
  const beside = await projectorFiles(model);
  const isThere = known !== undefined && (await stat(known).catch(() => null))?.isFile() === true;
  return isThere ? [known, ...beside.filter((path) => path !== known)] : beside;
}

/** Any part names its model; a folder or something that is not there is refused in words. */
async function firstPart(path: string): Promise<string> {
  const found = await stat(path).catch((error: unknown) => {
    throw brokenModel(path, "there is no such file", "check the path", error);
  });
  if (!found.isFile()) throw brokenModel(path, "not a file", "give the path of a GGUF file");
  // The name a link bears is the model's; what it leads to may be a blob's digest.
  return resolve(path);
}

async function fingerprint(parts: readonly string[]): Promise<string> {
  const hash = createHash("sha256").update(`${PROFILE_VERSION}\n`);
  for (const part of parts) {
    const { size, mtimeMs } = await stat(part);
    hash.update(`${part}\n${size}\n${mtimeMs}\n`);
  }
  return hash.digest("hex");
}

async function fromCache(dir: string, key: string): Promise<ModelProfile | null> {
  try {
    const text = await readFile(join(dir, `${key}.json`), "utf8");
    if (text.length > CACHED_PROFILE_BYTES_MAX) return null;
    const profile = JSON.parse(text) as Partial<ModelProfile>;
    return typeof profile.contentId === "string" && Array.isArray(profile.layers) ? (profile as ModelProfile) : null;
  } catch {
    // Not there or damaged: read anew.
    return null;
  }
}

async function intoCache(dir: string, key: string, profile: ModelProfile): Promise<void> {
  await mkdir(dir, { recursive: true });
  const entries = (await readdir(dir)).filter((name) => name.endsWith(".json"));
  for (const name of entries.slice(0, Math.max(0, entries.length - CACHED_PROFILES_MAX + 1)))
    await unlink(join(dir, name)).catch(() => undefined);
  const temporary = join(dir, `${key}.${randomUUID()}.tmp`);
  await writeFile(temporary, JSON.stringify(profile));
  await rename(temporary, join(dir, `${key}.json`));
}
