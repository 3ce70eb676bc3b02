import { createHash } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, stat, unlink, writeFile, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { brokenModel } from "./broken-model.ts";
import { createFnv1a } from "./manifest/fnv1a.ts";
import { CACHED_DIGESTS_MAX, CACHED_DIGEST_BYTES_MAX } from "./limits.ts";
import type { ModelFile } from "./read-model.ts";
import { namesOf, type WeightGroup, type WeightTable } from "./weight-table.ts";

/** Read at once: hashing it holds the event loop for half a millisecond. */
const CHUNK_BYTES: number = 1024 * 1024;
const ZEROS: Buffer = Buffer.alloc(CHUNK_BYTES);
const DIGEST = /^[0-9a-f]{64}(?: [0-9a-f]{16})?$/;

/** SHA-256 (hex) of a group's bytes, tensor after tensor; null where the file holds nothing but zeros: a hole. */
export type GroupDigest = string | null;

/** What one tensor's bytes are: SHA-256, and FNV-1a as llama.cpp's RPC asks for tensors. */
export interface TensorHash {
  readonly sha256: string;
  readonly fnv1a: string;
}

export interface WeightDigests {
  /** The digests of these groups, in their order. A file that has not changed is read once. */
  of(groups: readonly WeightGroup[], signal: AbortSignal): Promise<readonly GroupDigest[]>;
  /** What these tensors are, by name, without those that are holes or not there. Read only where this is asked for. */
  tensors(names: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, TensorHash>>;
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

  /** What is known of the file as it is now, completed by what `missing` reads of it. */
  async function upToDate(
    missing: (found: Map<string, GroupDigest>) => readonly Reading[],
    signal: AbortSignal,
  ): Promise<Map<string, GroupDigest>> {
    const key = await fileKey(file.parts);
    if (known === null || key !== knownKey) [known, knownKey] = [await fromCache(cacheDir, key), key];
    const found = known;
    const wanted = missing(found);
    if (wanted.length > 0) {
      const handles: FileHandle[] = [];
      try {
        for (const path of file.parts) handles.push(await open(path, "r"));
        for (const { entry, names, fnv } of wanted) found.set(entry, await digestNames(handles, names, fnv, signal));
      } finally {
        await Promise.all(handles.map((handle) => handle.close()));
      }
      if ((await fileKey(file.parts)) !== key) throw brokenModel(file.path, "it was changed while it was read", "try again");
      // A full disk costs reading them again, and nothing else.
      await intoCache(cacheDir, key, found).catch(() => undefined);
    }
    return found;
  }

  /** SHA-256 of these tensors' bytes, one after the other; with `fnv` a space and their FNV-1a besides. */
  async function digestNames(
    handles: readonly FileHandle[],
    names: readonly string[],
    fnv: boolean,
    signal: AbortSignal,
  ): Promise<GroupDigest> {
    const hash = createHash("sha256");
    const second = fnv ? createFnv1a() : null;
    const window = Buffer.allocUnsafe(CHUNK_BYTES);
    let hollow = true;
    for (const name of names) {
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
        second?.update(window.subarray(0, bytes));
        done += bytes;
      }
    }
    if (hollow) return null;
    return hash.digest("hex") + (second === null ? "" : ` ${second.digest()}`);
  }

  /** One at a time. */
  function inTurn<Value>(work: () => Promise<Value>): Promise<Value> {
    const next = last.then(work);
    last = next.catch(() => undefined);
    return next;
  }

  return {
    of: (groups, signal) =>
      inTurn(async () => {
        const missing = (found: Map<string, GroupDigest>): readonly Reading[] =>
          groups
            .filter((group) => !found.has(String(group)))
            .map((group) => ({ entry: String(group), names: namesOf(table, group), fnv: false }));
        const found = await upToDate(missing, signal);
        return groups.map((group) => found.get(String(group)) ?? null);
      }),
    tensors: (names, signal) =>
      inTurn(async () => {
        const there = names.filter((name) => table.has(name));
        const found = await upToDate(
          (kept) =>
            there.filter((name) => !kept.has(entryOf(name))).map((name) => ({ entry: entryOf(name), names: [name], fnv: true })),
          signal,
        );
        const hashes = new Map<string, TensorHash>();
        for (const name of there) {
          const [sha256, fnv1a] = found.get(entryOf(name))?.split(" ") ?? [];
          if (sha256 !== undefined && fnv1a !== undefined) hashes.set(name, { sha256, fnv1a });
        }
        return hashes;
      }),
  };
}

/** What one entry of the kept digests is made of. */
interface Reading {
  readonly entry: string;
  readonly names: readonly string[];
  readonly fnv: boolean;
}

/** A tensor's entry, beside those of groups: its layers' numbers, and `null`. */
const entryOf = (name: string): string => `tensor ${name}`;

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
