import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ClusterdError, type ContentId } from "@clusterd/wire";
import { guardHeader, newContentHash, walkHeader, type GuardedHeader } from "../header-guard.ts";
import { HEADER_BYTES_MAX, PARTS_MAX } from "../limits.ts";
import { checkDiskRoom, type MakeRoom } from "../pull/disk-room.ts";
import { readModelFile, type ModelFile } from "../read-model.ts";
import { callIt, calledIn } from "./shard-name.ts";
import { openShardFile, type ShardFile } from "./shard-file.ts";
import { beginSettling, settle, type SettledModel } from "./settle-shard.ts";
import { keepHeaders, mendHeaders } from "./shard-headers.ts";
import { layoutOf, type Block } from "./shard-layout.ts";

/** The models of which this node has parts. */
export interface ShardStore extends AsyncDisposable {
  /** What there is of a model; null: nothing. */
  get(contentId: ContentId): Promise<ShardFile | null>;
  /**
   * The same, begun where there is nothing: with the parts' names and headers, which must be those of the content asked for. Throws
   * `model_broken`.
   */
  begin(contentId: ContentId, source: ShardHeaders, signal: AbortSignal): Promise<ShardFile>;
  /** Settles when what was begun can be given to the engine; throws `model_broken` where it cannot. */
  ready(contentId: ContentId): Promise<void>;
  /** The file with holes, as the engine is given it; null where there is none, or it is not ready. */
  fileOf(contentId: ContentId): ModelFile | null;
  /** Makes room for so many bytes more, where it can; throws `does_not_fit` where the disk, or this node's own limit, has none. */
  checkRoom(bytes: number, what: string): Promise<void>;
  /** Once something lies beside it that was not there: what lets it see images. */
  reread(contentId: ContentId): Promise<void>;
  /** All of which there are parts. */
  list(): readonly HeldShard[];
  /** Deletes all that there is of a model; gives the bytes that were freed, 0 where there was nothing. */
  remove(contentId: ContentId): Promise<number>;
  /**
   * Makes a plain model of one of which all blocks are here: its parts are renamed to `targets`, nothing is copied, and nothing of it is left
   * here. `id` as in {@link SettledModel}. Throws `invalid_request` where a target is taken.
   */
  settle(contentId: ContentId, targets: readonly string[], id: string | null): Promise<SettledModel>;
  /** Those that were to be settled when this node was stopped, and have been since. */
  readonly settled: readonly SettledModel[];
}

/** A model of which there are parts. */
export interface HeldShard {
  readonly contentId: ContentId;
  /** As it was called when it was begun. */
  readonly model: string;
  readonly file: ModelFile;
}

/** What a model begins with, from someone who has it. */
export interface ShardHeaders {
  /** What the model is called where it is deployed; absent: as its file. */
  readonly model?: string;
  /** Whether `begin` may end before the file can be given to the engine, which {@link ShardStore.ready} tells. */
  readonly isReadyLater?: boolean;
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
  readonly makeRoom?: MakeRoom;
  /** A block was not on the disk as it was written there; it is forgotten. */
  readonly onDamaged?: (held: HeldShard, block: Block) => void;
}

export async function openShardStore({ dir, cacheDir, signal, makeRoom, onDamaged }: ShardStoreConfig): Promise<ShardStore> {
  const opened = new Map<ContentId, Promise<ShardFile>>();
  const files = new Map<ContentId, ModelFile>();
  /** Profiles that are being read, of models begun since the start. */
  const profiled = new Map<ContentId, Promise<void>>();
  const called = new Map<ContentId, string>();
  const removing = new Map<ContentId, Promise<number>>();
  const settled: SettledModel[] = [];
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
    const names = (await namesOf(contentId)) ?? [];
    const [first] = names;
    if (first === undefined || !(await mendHeaders({ folder: folderOf(contentId), names, contentId }, signal))) return;
    const file = await readModelFile(join(folderOf(contentId), first), { signal, cacheDir });
    if (file.profile.contentId !== contentId) return;
    files.set(contentId, file);
    called.set(contentId, (await calledIn(folderOf(contentId))) ?? file.profile.id);
  }
  const heldOf = (contentId: ContentId, file: ModelFile): HeldShard => ({
    contentId,
    model: called.get(contentId) ?? file.profile.id,
    file,
  });

  for (const name of await readdir(dir).catch(() => [])) {
    if (!CONTENT.test(name)) continue;
    const whole = await settle(join(dir, name)).catch(() => null);
    if (whole !== null) settled.push(whole);
    // What cannot be read is fetched again when it is wanted.
    else await read(name as ContentId).catch(() => undefined);
  }

  async function open(contentId: ContentId, names: readonly string[], within: AbortSignal): Promise<ShardFile> {
    const folder = folderOf(contentId);
    const checkHeaders = headersOf(contentId, names);
    await checkHeaders();
    const headers: GuardedHeader[] = [];
    for (const name of names) headers.push(await guardHeader(join(folder, name), newContentHash(), within));
    const layout = layoutOf(headers);
    return openShardFile({ folder, names, layout, header: headerIsThere, checkHeaders, onDamaged: damagedIn(contentId) });
  }
  function headersOf(contentId: ContentId, names: readonly string[]): () => Promise<void> {
    return async () => {
      if (await mendHeaders({ folder: folderOf(contentId), names, contentId }, signal)) return;
      throw new ClusterdError(
        "model_broken",
        `What is kept of ${called.get(contentId) ?? names[0]} has another header than it must have.`,
        {
          next: "Delete it, and load the model again: clusterd rm MODEL",
        },
      );
    };
  }
  function damagedIn(contentId: ContentId): (block: Block) => void {
    return (block) => {
      const file = files.get(contentId);
      if (file !== undefined) onDamaged?.(heldOf(contentId, file), block);
    };
  }

  /** What is still being read of a model would be listed after it is gone. */
  async function forgetProfile(contentId: ContentId): Promise<void> {
    await profiled.get(contentId)?.catch(() => undefined);
    profiled.delete(contentId);
    files.delete(contentId);
    called.delete(contentId);
  }

  async function removeNow(contentId: ContentId): Promise<number> {
    const opening = store.get(contentId);
    // At once: nobody is given what is about to go.
    files.delete(contentId);
    called.delete(contentId);
    const shard = await opening.catch(() => null);
    await forgetProfile(contentId);
    const bytes = (await shard?.diskBytes().catch(() => 0)) ?? 0;
    opened.delete(contentId);
    // What could not be recorded goes anyway.
    await Promise.allSettled([shard?.[Symbol.asyncDispose]()]);
    await rm(folderOf(contentId), { recursive: true, force: true });
    return bytes;
  }

  const store: ShardStore = {
    async get(contentId) {
      if (removing.has(contentId) && !files.has(contentId)) return null;
      const known = opened.get(contentId);
      if (known !== undefined) return known;
      const names = files.has(contentId) ? await namesOf(contentId) : null;
      if (names === null) return null;
      return remember(contentId, open(contentId, names, signal));
    },
    async begin(contentId, source, within) {
      await removing.get(contentId);
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
        // Each may be as long as a header may be; all of them no longer than two.
        if (starts.reduce((sum, one) => sum + one.length, 0) > 2 * HEADER_BYTES_MAX)
          throw new ClusterdError("model_broken", "The headers that were sent are longer than any model's.");
        headers.push(await walkHeader(bufferSource(bytes), name, partBytes[part] ?? 0, hash, within));
      }
      if (hash.digest("hex") !== contentId)
        throw new ClusterdError("model_broken", "The header that was sent is not this model's.");
      const folder = folderOf(contentId);
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, NAMES), JSON.stringify(names));
      if (source.model !== undefined) await callIt(folder, source.model);
      const layout = layoutOf(headers);
      const header = async (part: number): Promise<Buffer> => starts[part] ?? Buffer.alloc(0);
      await keepHeaders(
        { folder },
        starts.map((bytes, part) => bytes.subarray(0, layout.parts[part]?.dataStart)),
      );
      // Of what is there already, the header may be what kept it from being listed.
      await mendHeaders({ folder, names, contentId }, within);
      const checkHeaders = headersOf(contentId, names);
      const shard = await remember(
        contentId,
        openShardFile({ folder, names, layout, header, checkHeaders, onDamaged: damagedIn(contentId) }),
      );
      // It takes a process, and seconds of a small machine: blocks can come meanwhile.
      const reading = read(contentId);
      reading.catch(() => undefined);
      profiled.set(contentId, reading);
      if (source.isReadyLater !== true) await reading;
      return shard;
    },
    async ready(contentId) {
      await profiled.get(contentId);
    },
    fileOf: (contentId) => files.get(contentId) ?? null,
    reread: read,
    async checkRoom(bytes, what) {
      await mkdir(dir, { recursive: true });
      await checkDiskRoom(dir, bytes, what, makeRoom);
    },
    list: () => [...files].map(([contentId, file]) => heldOf(contentId, file)),
    remove(contentId) {
      const already = removing.get(contentId);
      if (already !== undefined) return already;
      const now = removeNow(contentId).finally(() => removing.delete(contentId));
      removing.set(contentId, now);
      return now;
    },
    async settle(contentId, targets, id) {
      const shard = await store.get(contentId);
      if (shard === null || !shard.layout.blocks.every((block) => shard.has(block)))
        throw new ClusterdError("model_broken", "Not all of that model is here.");
      await shard.record();
      const folder = folderOf(contentId);
      await beginSettling(folder, { id, names: shard.names, targets });
      await forgetProfile(contentId);
      opened.delete(contentId);
      // Who still reads from it asks again, and is given the plain file.
      await shard[Symbol.asyncDispose]();
      const settledNow = await settle(folder);
      if (settledNow === null) throw new ClusterdError("failed", `The record of where ${targets[0]} comes from cannot be read.`);
      return settledNow;
    },
    settled,
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

export function bufferSource(bytes: Buffer): Parameters<typeof walkHeader>[0] {
  return {
    async read(buffer, offset, length, position) {
      // A header that says it is longer than what was sent.
      if (position >= bytes.length) return { bytesRead: 0 };
      return { bytesRead: bytes.copy(buffer, offset, position, Math.min(bytes.length, position + length)) };
    },
  };
}
