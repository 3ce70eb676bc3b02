import { mkdir, open, readdir, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { basename, join } from "node:path";
import type { ContentId } from "@clusterd/wire";
import { guardHeader, newContentHash, type GuardedHeader } from "../header-guard.ts";
import { MANIFEST_BYTES_MAX, MANIFESTS_IN_MEMORY_MAX, MANIFESTS_KEPT_BYTES_MAX, MANIFESTS_KEPT_MAX } from "../limits.ts";
import type { ModelFile } from "../read-model.ts";
import { layoutOf, type ShardLayout } from "../shards/shard-layout.ts";
import { betterManifest, manifestOf, type ModelManifest } from "./manifest.ts";
import { manifestText, parseManifest } from "./parse-manifest.ts";

/** The manifests of the models on this node: from their headers, with what is known of their bytes, one file for each model. */
export interface ManifestStore {
  /** Of a model that is here, whole or in parts. Throws `model_broken` where its header is not that model's. */
  of(file: ModelFile, signal: AbortSignal): Promise<KeptManifest>;
  /** Whether anything is kept of a model, which may not be here. */
  has(contentId: ContentId): Promise<boolean>;
  /** Adds what has become known, on the disk as well, and gives what is known now. A full disk keeps it in memory alone. */
  add(file: ModelFile, known: (manifest: ModelManifest) => ModelManifest, signal: AbortSignal): Promise<ModelManifest>;
}

export interface KeptManifest {
  readonly manifest: ModelManifest;
  readonly layout: ShardLayout;
}

const CONTENT = /^[0-9a-f]{8,128}$/u;

/** `dir`: where the files are, for this store alone. */
export function createManifestStore(dir: string): ManifestStore {
  const known = new Map<string, Promise<KeptManifest>>();
  let writing: Promise<void> = Promise.resolve();
  /** By content and place: under the same path another model may lie by now. */
  const keyOf = ({ profile, path }: ModelFile): string => `${profile.contentId} ${path}`;
  const pathOf = (contentId: ContentId): string | null => (CONTENT.test(contentId) ? join(dir, `${contentId}.json`) : null);

  async function read(file: ModelFile): Promise<KeptManifest> {
    const { contentId } = file.profile;
    const headers: GuardedHeader[] = [];
    const hash = newContentHash();
    // For all who wait for it: none of their signals ends it, and a header is read in a moment.
    for (const part of file.parts) headers.push(await guardHeader(part, hash, new AbortController().signal));
    const bare = manifestOf(
      contentId,
      file.parts.map((path) => basename(path)),
      headers,
    );
    // Another model lies there by now: what is kept of this one says nothing of it.
    const kept = hash.digest("hex") === contentId ? await readKept(pathOf(contentId)) : null;
    return { manifest: (kept === null ? null : parseManifest(kept, bare)) ?? bare, layout: layoutOf(headers) };
  }

  function opening(file: ModelFile): Promise<KeptManifest> {
    const key = keyOf(file);
    const there = known.get(key);
    if (there !== undefined) return there;
    const [oldest] = known.keys();
    if (known.size >= MANIFESTS_IN_MEMORY_MAX && oldest !== undefined) known.delete(oldest);
    const reading = read(file);
    known.set(key, reading);
    reading.catch(() => known.get(key) === reading && known.delete(key));
    return reading;
  }

  return {
    async has(contentId) {
      if ([...known.keys()].some((key) => key.startsWith(`${contentId} `))) return true;
      const path = pathOf(contentId);
      return path !== null && (await stat(path).catch(() => null)) !== null;
    },
    async of(file, signal) {
      const kept = await opening(file);
      signal.throwIfAborted();
      return kept;
    },
    async add(file, more, signal) {
      const before = await opening(file);
      signal.throwIfAborted();
      // Others may have added something since.
      const { manifest: now, layout } = (await known.get(keyOf(file))) ?? before;
      const manifest = betterManifest(now, more(now));
      if (manifest === now) return now;
      known.set(keyOf(file), Promise.resolve({ manifest, layout }));
      const path = pathOf(manifest.contentId);
      if (path === null) return manifest;
      // It can be made again: nothing else depends on its being kept.
      writing = writing.then(() => write(dir, path, manifestText(manifest))).catch(() => undefined);
      await writing;
      return manifest;
    },
  };
}

async function readKept(path: string | null): Promise<string | null> {
  try {
    if (path === null || (await stat(path)).size > MANIFEST_BYTES_MAX) return null;
    const text = await readFile(path, "utf8");
    // The files that were used last stay.
    const now = new Date();
    await utimes(path, now, now).catch(() => undefined);
    return text;
  } catch {
    // Not there: nothing is known yet.
    return null;
  }
}

async function write(dir: string, path: string, text: string): Promise<void> {
  if (text.length > MANIFEST_BYTES_MAX) return;
  await mkdir(dir, { recursive: true });
  await makeRoom(dir, basename(path), text.length);
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    {
      await using out = await open(temporary, "w");
      await out.writeFile(text);
      await out.datasync();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Deletes those that were not used for longest, so that one more of so many bytes has a place. */
async function makeRoom(dir: string, name: string, bytes: number): Promise<void> {
  const others: { readonly path: string; readonly size: number; readonly usedMs: number }[] = [];
  for (const other of await readdir(dir)) {
    if (other === name) continue;
    const path = join(dir, other);
    const found = await stat(path).catch(() => null);
    if (found !== null) others.push({ path, size: found.size, usedMs: found.mtimeMs });
  }
  others.sort((a, b) => a.usedMs - b.usedMs);
  let [count, total] = [others.length + 1, others.reduce((sum, { size }) => sum + size, bytes)];
  for (const { path, size } of others) {
    if (count <= MANIFESTS_KEPT_MAX && total <= MANIFESTS_KEPT_BYTES_MAX) return;
    await rm(path, { force: true });
    count -= 1;
    total -= size;
  }
}
