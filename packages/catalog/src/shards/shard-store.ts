import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ClusterdError, type ContentId } from "@clusterd/wire";
import { guardHeader, newContentHash, walkHeader, type GuardedHeader } from "../header-guard.ts";
import { PARTS_MAX } from "../limits.ts";
import { checkDiskRoom } from "../pull/disk-room.ts";
import { readModelFile, type ModelFile } from "../read-model.ts";
import { openShardFile, type ShardFile } from "./shard-file.ts";
import { layoutOf } from "./shard-layout.ts";

/** The models of which this node has parts. */
export interface ShardStore extends AsyncDisposable {
  /** What there is of a model; null: nothing. */
  get(contentId: ContentId): Promise<ShardFile | null>;
  /**
   * The same, begun where there is nothing: with the parts' names and headers, which must be those of the content asked for. Throws
   * `model_broken`.
   */
  begin(contentId: ContentId, source: ShardHeaders, signal: AbortSignal): Promise<ShardFile>;
  /** The file with holes, as the engine is given it; null where there is none. */
  fileOf(contentId: ContentId): ModelFile | null;
  /** Throws `does_not_fit` where the disk has no room for so many bytes more. */
  checkRoom(bytes: number, what: string): Promise<void>;
}

/** What a model begins with, from someone who has it. */
export interface ShardHeaders {
  readonly names: readonly string[];
  readonly partBytes: readonly number[];
  header(part: number): Promise<Buffer>;
}

const NAMES = "names.json";
const CONTENT = /^[0-9a-f]{8,128}$/u;

export interface ShardStoreConfig {
  /** A folder in it for each model. */
  readonly dir: string;
  /** Where profiles are kept. */
  readonly cacheDir: string;
  readonly signal: AbortSignal;
}

export async function openShardStore({ dir, cacheDir, signal }: ShardStoreConfig): Promise<ShardStore> {
  const opened = new Map<ContentId, Promise<ShardFile>>();
  const files = new Map<ContentId, ModelFile>();
  const folderOf = (contentId: ContentId): string => {
    if (!CONTENT.test(contentId)) throw new ClusterdError("invalid_request", "That is no model's content.");
    return join(dir, contentId);
  };

  async function namesOf(contentId: ContentId): Promise<readonly string[] | null> {
    const text = await readFile(join(folderOf(contentId), NAMES), "utf8").catch(() => null);
    try {
      const names = text === null ? null : (JSON.parse(text) as unknown);
      return Array.isArray(names) && names.length <= PARTS_MAX && names.every(isPlainName) ? names : null;
    } catch {
      return null;
    }
  }

  async function read(contentId: ContentId): Promise<void> {
    const [first] = (await namesOf(contentId)) ?? [];
    if (first === undefined) return;
    const file = await readModelFile(join(folderOf(contentId), first), { signal, cacheDir });
    if (file.profile.contentId === contentId) files.set(contentId, file);
  }

  for (const name of await readdir(dir).catch(() => [])) {
    // What cannot be read is fetched again when it is wanted.
    if (CONTENT.test(name)) await read(name as ContentId).catch(() => undefined);
  }

  async function open(contentId: ContentId, names: readonly string[], within: AbortSignal): Promise<ShardFile> {
    const folder = folderOf(contentId);
    const headers: GuardedHeader[] = [];
    for (const name of names) headers.push(await guardHeader(join(folder, name), newContentHash(), within));
    return openShardFile({ folder, names, layout: layoutOf(headers), header: headerIsThere });
  }

  const store: ShardStore = {
    async get(contentId) {
      const known = opened.get(contentId);
      if (known !== undefined) return known;
      const names = files.has(contentId) ? await namesOf(contentId) : null;
      if (names === null) return null;
      return remember(contentId, open(contentId, names, signal));
    },
    async begin(contentId, source, within) {
      const there = await store.get(contentId);
      if (there !== null) return there;
      const { names, partBytes } = source;
      if (names.length === 0 || names.length > PARTS_MAX || names.length !== partBytes.length || !names.every(isPlainName))
        throw new ClusterdError("model_broken", "The model's files have names that cannot be kept here.");
      const hash = newContentHash();
      const headers: GuardedHeader[] = [];
      const starts: Buffer[] = [];
      for (const [part, name] of names.entries()) {
        const bytes = await source.header(part);
        starts.push(bytes);
        headers.push(await walkHeader(bufferSource(bytes), name, partBytes[part] ?? 0, hash, within));
      }
      if (hash.digest("hex") !== contentId)
        throw new ClusterdError("model_broken", "The header that was sent is not this model's.");
      const folder = folderOf(contentId);
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, NAMES), JSON.stringify(names));
      const layout = layoutOf(headers);
      const header = async (part: number): Promise<Buffer> => starts[part] ?? Buffer.alloc(0);
      const shard = await remember(contentId, openShardFile({ folder, names, layout, header }));
      await read(contentId);
      return shard;
    },
    fileOf: (contentId) => files.get(contentId) ?? null,
    async checkRoom(bytes, what) {
      await mkdir(dir, { recursive: true });
      await checkDiskRoom(dir, bytes, what);
    },
    async [Symbol.asyncDispose]() {
      const all = await Promise.allSettled([...opened.values()]);
      for (const shard of all) if (shard.status === "fulfilled") await shard.value[Symbol.asyncDispose]();
    },
  };

  async function remember(contentId: ContentId, opening: Promise<ShardFile>): Promise<ShardFile> {
    opened.set(contentId, opening);
    try {
      return await opening;
    } catch (error) {
      opened.delete(contentId);
      throw error;
    }
  }

  async function headerIsThere(): Promise<Buffer> {
    throw new ClusterdError("model_broken", "A part of the model's file is gone.");
  }
  return store;
}

/** A file's name, and no way to anywhere else. */
function isPlainName(name: unknown): name is string {
  return typeof name === "string" && /^[\w][\w.+ -]{0,199}$/u.test(name) && !/[. ]$/u.test(name);
}

function bufferSource(bytes: Buffer): Parameters<typeof walkHeader>[0] {
  return {
    async read(buffer, offset, length, position) {
      return { bytesRead: bytes.copy(buffer, offset, position, Math.min(bytes.length, position + length)) };
    },
  };
}
