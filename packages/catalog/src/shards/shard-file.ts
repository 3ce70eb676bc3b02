import { mkdir, open, readFile, rename, rm, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { ClusterdError } from "@clusterd/wire";
import { blockDigest, createBlockMap, parseBlockMap, type BlockMap } from "./block-map.ts";
import type { Block, ShardLayout } from "./shard-layout.ts";
import { makeSparse, punchHole } from "./sparse-file.ts";

/** A model, or a part of one, that others may have blocks of. */
export interface HeldModel {
  readonly layout: ShardLayout;
  /** The parts' file names, in order. */
  readonly names: readonly string[];
  has(block: Block): boolean;
  /** The bytes of a block that is there. */
  read(block: Block): Promise<Buffer>;
  /** All bytes of a part before its first tensor. */
  header(part: number): Promise<Buffer>;
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
  /** Reads a block again; one that has changed on the disk is forgotten. */
  verify(block: Block): Promise<boolean>;
  /** Gives blocks back to the disk. */
  drop(blocks: readonly Block[]): Promise<void>;
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
}

const RECORD = "blocks.json";

/** Opens what there is of a model in a folder, or begins it. */
export async function openShardFile({ folder, names, layout, header }: ShardFileConfig): Promise<ShardFile> {
  await mkdir(folder, { recursive: true });
  const paths = names.map((name) => join(folder, name));
  const handles: FileHandle[] = [];
  const record = join(folder, RECORD);
  let map = await keptMap(record, layout.blocks.length);
  for (const [part, path] of paths.entries()) {
    const { fileBytes, dataStart } = partOf(layout, part);
    let handle = await open(path, "r+").catch(() => null);
    if (handle === null || (await handle.stat()).size !== fileBytes) {
      await handle?.close();
      // Bytes without their file are none.
      map = createBlockMap(layout.blocks.length);
      await rm(path, { force: true });
      await makeSparse(path, fileBytes);
      handle = await open(path, "r+");
      await writeAll(handle, path, (await header(part)).subarray(0, dataStart), 0);
    }
    handles.push(handle);
  }
  let isNews = false;
  let recording: Promise<void> = Promise.resolve();

  const handleOf = ({ part }: Block): FileHandle => {
    const handle = handles[part];
    if (handle === undefined) throw new Error("a block of no part");
    return handle;
  };
  async function recordNow(): Promise<void> {
    if (!isNews) return;
    isNews = false;
    const told = JSON.stringify(map.json());
    for (const handle of handles) await handle.datasync();
    const temporary = `${record}.tmp`;
    {
      await using out = await open(temporary, "w");
      await out.writeFile(told);
      await out.datasync();
    }
    await rename(temporary, record);
  }
  async function read(block: Block): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(block.bytes);
    await readAll(handleOf(block), paths[block.part] ?? "", bytes, block.position);
    return bytes;
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
      const sha256 = blockDigest(bytes);
      const known = map.digest(block.index);
      if (bytes.length !== block.bytes || (known !== null && known !== sha256)) throw new WrongBytes(block);
      await writeAll(handleOf(block), paths[block.part] ?? "", bytes, block.position);
      map.add(block.index, sha256);
      isNews = true;
    },
    read,
    names,
    async header(part) {
      const { dataStart } = partOf(layout, part);
      const bytes = Buffer.allocUnsafe(dataStart);
      await readAll(handles[part], paths[part] ?? "", bytes, 0);
      return bytes;
    },
    record: () => (recording = recording.catch(() => undefined).then(recordNow)),
    async verify(block) {
      const sha256 = blockDigest(await read(block));
      if (sha256 === map.digest(block.index)) return true;
      map.remove(block.index);
      isNews = true;
      return false;
    },
    async drop(blocks) {
      // The word first: what is said to be there must be there.
      for (const { index } of blocks) map.remove(index);
      isNews = true;
      await (recording = recording.catch(() => undefined).then(recordNow));
      for (const block of blocks) await punchHole(paths[block.part] ?? "", block.position, block.bytes);
    },
    async [Symbol.asyncDispose]() {
      await (recording = recording.catch(() => undefined).then(recordNow)).catch(() => undefined);
      await Promise.all(handles.map((handle) => handle.close()));
    },
  };
}

async function keptMap(path: string, count: number): Promise<BlockMap> {
  try {
    const kept = parseBlockMap(JSON.parse(await readFile(path, "utf8")), count);
    if (kept !== null) return kept;
  } catch {
    // Not there yet, or damaged: all is fetched again.
  }
  return createBlockMap(count);
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
  try {
    for (let at = 0; at < bytes.length;) at += (await handle.write(bytes, at, bytes.length - at, position + at)).bytesWritten;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOSPC" && code !== "EDQUOT") throw error;
    throw new ClusterdError("does_not_fit", `The disk is full: ${path} (${code}).`, {
      next: "What was fetched is kept: make room, and load the model again.",
      cause: error,
    });
  }
}
