import { createHash } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, stat, unlink, writeFile, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { brokenModel } from "./broken-model.ts";
import { CACHED_DIGESTS_MAX, CACHED_DIGEST_BYTES_MAX } from "./limits.ts";
import type { ModelFile } from "./read-model.ts";
import { namesOf, type WeightGroup, type WeightTable } from "./weight-table.ts";

/** Read at once: hashing it holds the event loop for half a millisecond. */
const CHUNK_BYTES: number = 1024 * 1024;
const ZEROS: Buffer = Buffer.alloc(CHUNK_BYTES);
const DIGEST = /^[0-9a-f]{64}$/;

/** SHA-256 (hex) of a group's bytes, tensor after tensor; null where the file holds nothing but zeros: a hole. */
export type GroupDigest = string | null;

export interface WeightDigests {
  /** The digests of these groups, in their order. A file that has not changed is read once. */
  of(groups: readonly WeightGroup[], signal: AbortSignal): Promise<readonly GroupDigest[]>;
}

export interface WeightDigestConfig {
  readonly file: ModelFile;
  readonly table: WeightTable;
  /** Where digests are kept. */
  readonly cacheDir: string;
}

/** Tells whether two nodes hold the same weights, layer by layer, without sending them. */
export function createWeightDigests({ file, table, cacheDir }: WeightDigestConfig): WeightDigests {
  let known: Map<string, GroupDigest> | null = null;
  let knownKey = "";
  /** One at a time: two readers of one disk are slower than one. */
  let last: Promise<unknown> = Promise.resolve();

  async function digests(groups: readonly WeightGroup[], signal: AbortSignal): Promise<readonly GroupDigest[]> {
    const key = await fileKey(file.parts);
    if (known === null || key !== knownKey) [known, knownKey] = [await fromCache(cacheDir, key), key];
    const found = known;
    const wanted = groups.filter((group) => !found.has(String(group)));
    if (wanted.length > 0) {
      const handles: FileHandle[] = [];
      try {
        for (const path of file.parts) handles.push(await open(path, "r"));
        for (const group of wanted) found.set(String(group), await digestGroup(handles, group, signal));
      } finally {
        await Promise.all(handles.map((handle) => handle.close()));
      }
      if ((await fileKey(file.parts)) !== key) throw brokenModel(file.path, "it was changed while it was read", "try again");
      // A full disk costs reading them again, and nothing else.
      await intoCache(cacheDir, key, found).catch(() => undefined);
    }
    return groups.map((group) => found.get(String(group)) ?? null);
  }

  async function digestGroup(handles: readonly FileHandle[], group: WeightGroup, signal: AbortSignal): Promise<GroupDigest> {
    const hash = createHash("sha256");
    const window = Buffer.allocUnsafe(CHUNK_BYTES);
    let hollow = true;
    for (const name of namesOf(table, group)) {
      const place = table.get(name);
      if (place === undefined) continue;
      for (let done = 0; done < place.bytes;) {
        signal.throwIfAborted();
        const wanted = Math.min(CHUNK_BYTES, place.bytes - done);
        const read = await handles[place.part]?.read(window, 0, wanted, place.position + done);
        const bytes = read?.bytesRead ?? 0;
        if (bytes === 0) throw brokenModel(file.parts[place.part] ?? file.path, "the file became shorter while it was read");
        hollow &&= window.compare(ZEROS, 0, bytes, 0, bytes) === 0;
        hash.update(window.subarray(0, bytes));
        done += bytes;
      }
    }
    return hollow ? null : hash.digest("hex");
  }

  return {
    of(groups, signal) {
      const work = last.then(() => digests(groups, signal));
      last = work.catch(() => undefined);
      return work;
    },
  };
}

async function fileKey(parts: readonly string[]): Promise<string> {
  const hash = createHash("sha256").update("digests 1\n");
  for (const part of parts) {
    const { size, mtimeNs, ino } = await stat(part, { bigint: true });
    hash.update(`${part}\n${size}\n${mtimeNs}\n${ino}\n`);
  }
  return hash.digest("hex");
}

async function fromCache(dir: string, key: string): Promise<Map<string, GroupDigest>> {
  try {
    const text = await readFile(join(dir, `${key}.json`), "utf8");
    if (text.length > CACHED_DIGEST_BYTES_MAX) return new Map();
    const entries = Object.entries(JSON.parse(text) as Record<string, unknown>);
    return new Map(entries.filter((entry): entry is [string, GroupDigest] => isDigest(entry[1])));
  } catch {
    // Not there or damaged: read anew.
    return new Map();
  }
}

const isDigest = (value: unknown): value is GroupDigest => value === null || (typeof value === "string" && DIGEST.test(value));

async function intoCache(dir: string, key: string, digests: ReadonlyMap<string, GroupDigest>): Promise<void> {
  await mkdir(dir, { recursive: true });
  const entries = (await readdir(dir)).filter((name) => name.endsWith(".json") && name !== `${key}.json`);
  for (const name of entries.slice(0, Math.max(0, entries.length - CACHED_DIGESTS_MAX + 1)))
    await unlink(join(dir, name)).catch(() => undefined);
  const temporary = join(dir, `${key}.${process.pid}.tmp`);
  await writeFile(temporary, JSON.stringify(Object.fromEntries(digests)));
  await rename(temporary, join(dir, `${key}.json`));
}
