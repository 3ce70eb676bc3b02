import { mkdir, open, readFile, rename, rm, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { ClusterdError } from "@clusterd/wire";
import { onDisk } from "../pull/disk-error.ts";
import { fileDiskBytes } from "../keep/disk-usage.ts";
import { createBlockMap, parseBlockMap, type BlockMap } from "./block-map.ts";
import { createBlockTrust, parseTrust, type TrustRecord } from "./block-trust.ts";
import { stampOf } from "./file-stamp.ts";
import { hashBlock } from "./hash-block.ts";
import type { Block, ShardLayout } from "./shard-layout.ts";
import { makeSparse, punchHoles, removeRewritten, rewriteSparse } from "./sparse-file.ts";

/** A model, or a part of one, that others may have blocks of. */
export interface HeldModel {
  readonly layout: ShardLayout;
  /** The parts' file names, in order. */
  readonly names: readonly string[];
  has(block: Block): boolean;
  /** The bytes of a block that is there, in memory of their own, which whoever asked may give back. */
  read(block: Block): Promise<Buffer>;
  /** All bytes of a part before its first tensor. */
  header(part: number): Promise<Buffer>;
  /** SHA-256 of a block, hex, where it is known without reading it; null or absent: it is not. */
  digest?(block: Block): string | null;
}

/** A model of which this node has some blocks: files of the full length, with holes where it has none. */
export interface ShardFile extends HeldModel, AsyncDisposable {
  /** The parts' paths, in order. */
  readonly paths: readonly string[];
  digest(block: Block): string | null;
  /** What a block must be; throws where it is known to be otherwise. */
  expect(block: Block, sha256: string): void;
  /** Verifies a block's bytes and writes them; throws {@link WrongBytes} where they are not what they must be. */
  put(block: Block, bytes: Buffer): Promise<void>;
  /** Makes lasting what was put: first the bytes, then the word of them. */
  record(): Promise<void>;
  /** Reads a block again; one that has changed on the disk is forgotten, and told to `onDamaged`. */
  verify(block: Block): Promise<boolean>;
  /** The same, changing nothing. */
  isRight(block: Block): Promise<boolean>;
  /**
   * Reads again those of some blocks that may have changed since they were last read: where anyone else has written to the file, and
   * after a week. Gives those that were not what they must be: they are forgotten.
   */
  check(blocks: readonly Block[], signal: AbortSignal): Promise<readonly Block[]>;
  /** Gives blocks back to the disk. */
  drop(blocks: readonly Block[]): Promise<void>;
  /** What it takes on the disk. */
  diskBytes(): Promise<number>;
}

/** A block's bytes are not those it must have. */
export class WrongBytes extends Error {
  readonly block: Block;
  constructor(block: Block) {
    super(`block ${block.index} has other bytes than it must have`);
    this.name = "WrongBytes";
    this.block = block;
  }
}

export interface ShardFileConfig {
  readonly folder: string;
  /** The parts' file names, in order. */
  readonly names: readonly string[];
  readonly layout: ShardLayout;
  /** A part's header, asked for where it is not there yet. */
  readonly header: (part: number) => Promise<Buffer>;
  /** Looks whether what the parts begin with is still right, and mends it; throws `model_broken` where it cannot. */
  readonly checkHeaders?: () => Promise<void>;
  /** A block was not on the disk as it was written there. */
  readonly onDamaged?: (block: Block) => void;
  /** False where the system cannot punch holes; absent: by the system's own tool. */
  readonly punch?: typeof punchHoles;
  /** Milliseconds since 1970; absent: by the clock. */
  readonly now?: () => number;
}

const RECORD = "blocks.json";

/** Opens what there is of a model in a folder, or begins it. */
export async function openShardFile(config: ShardFileConfig): Promise<ShardFile> {
  const { folder, names, layout, header, punch = punchHoles } = config;
  await mkdir(folder, { recursive: true });
  const paths = names.map((name) => join(folder, name));
  const handles: FileHandle[] = [];
  const record = join(folder, RECORD);
  let { map, trusted } = await keptMap(record, layout.blocks.length);
  for (const [part, path] of paths.entries()) {
    await removeRewritten(path);
    const { fileBytes, dataStart } = partOf(layout, part);
    let handle = await open(path, "r+").catch(() => null);
    if (handle === null || (await handle.stat()).size !== fileBytes) {
      await handle?.close();
      // Bytes without their file are none.
      map = createBlockMap(layout.blocks.length);
      trusted = null;
      await rm(path, { force: true });
      await makeSparse(path, fileBytes);
      handle = await open(path, "r+");
      await writeAll(handle, path, (await header(part)).subarray(0, dataStart), 0);
    }
    handles.push(handle);
  }
  const trust = await createBlockTrust({ map, kept: trusted, stamp: () => stampOf(paths), now: config.now ?? Date.now });
  let isNews = false;
  let recording: Promise<void> = Promise.resolve();
  /** Putting blocks and writing the file anew exclude each other. */
  let dropping: Promise<void> = Promise.resolve();
  const puts = new Set<Promise<void>>();

  const handleOf = ({ part }: Block): FileHandle => {
    const handle = handles[part];
    if (handle === undefined) throw new Error("a block of no part");
    return handle;
  };
  async function recordNow(): Promise<void> {
    if (!isNews) return;
    isNews = false;
    const told = JSON.stringify({ ...map.json(), trust: trust.json() });
    const temporary = `${record}.tmp`;
    try {
      for (const handle of handles) await onDisk(record, handle.datasync());
      {
        await using out = await onDisk(record, open(temporary, "w"));
        await onDisk(record, out.writeFile(told));
        await onDisk(record, out.datasync());
      }
      await onDisk(record, rename(temporary, record));
    } catch (error) {
      // Told the next time; half of it takes room on a disk that may have none.
      isNews = true;
      await rm(temporary, { force: true }).catch(() => undefined);
      throw error;
    }
  }
  const recordSoon = (): Promise<void> => (recording = recording.catch(() => undefined).then(recordNow));

  async function readRaw(block: Block): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(block.bytes);
    await readAll(handleOf(block), paths[block.part] ?? "", bytes, block.position);
    return bytes;
  }
  function forget(block: Block): void {
    map.remove(block.index);
    trust.settled(block.index);
    isNews = true;
  }
  /** The bytes of a block that is as it was written; null, and forgotten, where it is not, or the disk cannot read it. */
  async function readRight(block: Block): Promise<Buffer | null> {
    const known = map.digest(block.index);
    const bytes = await readRaw(block).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EIO") throw error;
      return null;
    });
    if (bytes !== null && (await hashBlock(bytes)) === known) {
      trust.settled(block.index);
      isNews = true;
      return bytes;
    }
    // Given back meanwhile: that is no damage.
    if (!map.has(block.index)) return null;
    // It stays where it is until it is fetched again: an engine that has the file mapped is better off with one wrong bit than with zeros.
    forget(block);
    config.onDamaged?.(block);
    await recordSoon();
    return null;
  }
  async function putNow(block: Block, bytes: Buffer, sha256: string): Promise<void> {
    await writeAll(handleOf(block), paths[block.part] ?? "", bytes, block.position);
    map.add(block.index, sha256);
    trust.settled(block.index);
    isNews = true;
  }

  async function dropNow(blocks: readonly Block[]): Promise<void> {
    // The word first: what is said to be there must be there.
    for (const block of blocks) forget(block);
    await recordSoon();
    for (const [part, path] of paths.entries()) {
      const own = blocks.filter((block) => block.part === part);
      if (own.length === 0 || (await punch(path, own))) continue;
      const { dataStart, fileBytes } = partOf(layout, part);
      const kept = layout.blocks.filter((block) => block.part === part && map.has(block.index));
      await Promise.allSettled(puts);
      await rewriteSparse(path, fileBytes, [{ position: 0, bytes: dataStart }, ...kept]);
      const old = handles[part];
      handles[part] = await open(path, "r+");
      // It waits for whoever is reading from it.
      await old?.close();
    }
  }

  function drop(blocks: readonly Block[]): Promise<void> {
    return (dropping = dropping.catch(() => undefined).then(() => trust.whileWriting(() => dropNow(blocks))));
  }

  return {
    layout,
    paths,
    has: ({ index }) => map.has(index),
    digest: ({ index }) => map.digest(index),
    expect({ index }, sha256) {
      const known = map.digest(index);
      if (known === null) map.expect(index, sha256);
      else if (known !== sha256) throw new ClusterdError("model_broken", `Block ${index} is told to be two different things.`);
    },
    async put(block, bytes) {
      const sha256 = await hashBlock(bytes);
      const known = map.digest(block.index);
      if (bytes.length !== block.bytes || (known !== null && known !== sha256)) throw new WrongBytes(block);
      await dropping.catch(() => undefined);
      const putting = trust.whileWriting(() => putNow(block, bytes, sha256));
      puts.add(putting);
      await putting.finally(() => puts.delete(putting));
    },
    async read(block) {
      await trust.look();
      const bytes = trust.isDoubtful(block.index) ? await readRight(block) : await readRaw(block);
      // A hole reads as zeros: given back while it was read, they are not the block's.
      if (bytes === null || !map.has(block.index))
        throw new ClusterdError("model_broken", `Block ${block.index} is not here any more.`);
      return bytes;
    },
    names,
    async header(part) {
      const { dataStart } = partOf(layout, part);
      const bytes = Buffer.allocUnsafe(dataStart);
      await readAll(handles[part], paths[part] ?? "", bytes, 0);
      return bytes;
    },
    record: recordSoon,
    async isRight(block) {
      const bytes = await readRaw(block).catch(() => null);
      return bytes !== null && (await hashBlock(bytes)) === map.digest(block.index);
    },
    verify: async (block) => (await readRight(block)) !== null,
    async check(blocks, signal) {
      await trust.look();
      if (trust.isInDoubt) await trust.whileWriting(async () => config.checkHeaders?.());
      const damaged: Block[] = [];
      for (const block of blocks) {
        signal.throwIfAborted();
        if (map.has(block.index) && trust.isDoubtful(block.index) && (await readRight(block)) === null) damaged.push(block);
      }
      await recordSoon();
      return damaged;
    },
    drop,
    async diskBytes() {
      let bytes = 0;
      for (const [part, path] of paths.entries()) {
        const own = layout.blocks.filter((block) => block.part === part && map.has(block.index));
        const told = own.reduce((sum, block) => sum + block.bytes, partOf(layout, part).dataStart);
        bytes += (await fileDiskBytes(path)) ?? told;
      }
      return bytes;
    },
    async [Symbol.asyncDispose]() {
      await dropping.catch(() => undefined);
      await recordSoon().catch(() => undefined);
      await Promise.all(handles.map((handle) => handle.close()));
    },
  };
}

async function keptMap(path: string, count: number): Promise<{ map: BlockMap; trusted: TrustRecord | null }> {
  try {
    const kept = JSON.parse(await readFile(path, "utf8")) as { readonly trust?: unknown };
    const map = parseBlockMap(kept, count);
    if (map !== null) return { map, trusted: parseTrust(kept.trust, count) };
  } catch {
    // Not there yet, or damaged: all is fetched again.
  }
  return { map: createBlockMap(count), trusted: null };
}

function partOf(layout: ShardLayout, part: number): ShardLayout["parts"][number] {
  const found = layout.parts[part];
  if (found === undefined) throw new Error("a name too many for this model's parts");
  return found;
}

/** Fills a buffer from a file. Throws `model_broken` where the file is shorter. */
export async function readAll(handle: FileHandle | undefined, path: string, bytes: Buffer, position: number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const read = (await handle?.read(bytes, at, bytes.length - at, position + at))?.bytesRead ?? 0;
    if (read === 0) throw new ClusterdError("model_broken", `${path} became shorter.`);
    at += read;
  }
}

async function writeAll(handle: FileHandle, path: string, bytes: Buffer, position: number): Promise<void> {
  for (let at = 0; at < bytes.length;)
    at += (await onDisk(path, handle.write(bytes, at, bytes.length - at, position + at), () => bytes.length - at)).bytesWritten;
}
