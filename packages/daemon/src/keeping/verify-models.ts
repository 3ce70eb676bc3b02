import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { setImmediate as turn } from "node:timers/promises";
import {
  bytesOf,
  pulledCopies,
  readAgain,
  type Block,
  type Catalog,
  type CatalogEntry,
  type PulledCopy,
  type PulledCopyFile,
  type ShardFile,
  type ShardStore,
} from "@clusterd/catalog";
import { asClusterdError, ClusterdError, sameModel, type ContentId, type VerifyFinding } from "@clusterd/wire";
import { contentOfCopy } from "./kept-here.ts";
import type { OnFetched, Repair } from "./repair.ts";
import { groupText } from "./tell-damaged.ts";

/** Hashed at a time: it holds the event loop for half a millisecond. */
const READ_BYTES: number = 1024 * 1024;

export interface VerifyConfig {
  readonly catalog: Catalog;
  readonly shards: ShardStore;
  readonly modelsDir: string;
  readonly repair: Repair;
  /** Whether a deployment uses some of a model on this node. */
  isNeeded(contentId: ContentId): boolean;
}

/** One thing to read: a file, or what there is of a model in parts. */
export interface VerifyTask {
  readonly model: string;
  readonly path: string;
  readonly bytes: number;
  /** `read` is told bytes as they are read. */
  run(tools: VerifyTools): Promise<void>;
}

export interface VerifyTools {
  readonly signal: AbortSignal;
  readonly repairs: boolean;
  read(bytes: number): void;
  /** What was wrong is being fetched again. */
  readonly fetched: OnFetched;
  tell(finding: VerifyFinding): void;
}

/** All that is to be read of the models a REF means; of all where there is none. Throws `not_found`. */
export async function verifyTasks(config: VerifyConfig, ref: string | null): Promise<readonly VerifyTask[]> {
  const { catalog, shards, modelsDir } = config;
  const named = (ref ?? "").replace(/^hf:/u, "");
  const known = ref === null ? null : catalog.known(ref);
  const isMeant = (contentId: ContentId | null, ...names: readonly string[]): boolean =>
    ref === null ||
    (known !== null && contentId === known.profile.contentId) ||
    names.some((name) => sameModel(name, named) || sameModel(name.replace(/:[^:/]*$/u, ""), named));

  const tasks: VerifyTask[] = [];
  const pulled = new Set<string>();
  for (const copy of await pulledCopies(modelsDir)) {
    const contentId = contentOfCopy(catalog, copy);
    for (const file of copy.files) {
      pulled.add(file.path);
      if (isMeant(contentId, copy.id)) tasks.push(pulledTask(config, copy, file, contentId));
    }
  }
  for (const { contentId, model, file } of shards.list()) {
    const shard = isMeant(contentId, model, file.profile.id) ? await shards.get(contentId).catch(() => null) : null;
    if (shard !== null) tasks.push(shardTask(config, shard, model, contentId));
  }
  for (const entry of catalog.list())
    if (!pulled.has(entry.file.path) && isMeant(entry.file.profile.contentId, entry.file.profile.id, ...entry.aliases))
      tasks.push(foreignTask(entry));
  if (ref !== null && tasks.length === 0)
    throw new ClusterdError("not_found", `There is nothing of ${ref} on this node.`, {
      next: "See what there is: clusterd models",
      param: "model",
    });
  return tasks;
}

function pulledTask({ repair }: VerifyConfig, copy: PulledCopy, file: PulledCopyFile, contentId: ContentId | null): VerifyTask {
  const { path, record } = file;
  const model = copy.id;
  return {
    model,
    path,
    bytes: record.bytes,
    async run({ signal, repairs, read, fetched, tell }) {
      let before = 0;
      const onProgress = (done: number): void => {
        read(done - before);
        before = done;
      };
      const isRight = await readAgain(copy, file, { signal, onProgress }).catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
        throw error;
      });
      read(record.bytes - before);
      if (isRight === null) return tell({ event: "unverifiable", model, path, why: "it is not there any more" });
      if (isRight) return tell({ event: "right", model, path, bytes: record.bytes });
      const where = { event: "damaged", model, path, firstByte: 0, lastByte: record.bytes - 1, part: null } as const;
      if (!repairs) return tell({ ...where, action: "kept", aside: null });
      const gone = await repair.setAside(copy, file, contentId);
      tell({ ...where, action: "quarantined", aside: gone.aside });
      try {
        const firstByte = await repair.fetchAgain(gone, signal, fetched);
        tell({ event: "repaired", model, path, firstByte, bytes: record.bytes });
      } catch (error) {
        signal.throwIfAborted();
        tell({ event: "unrepaired", model, path, reason: reasonOf(error) });
      }
    },
  };
}

function shardTask(config: VerifyConfig, shard: ShardFile, model: string, contentId: ContentId): VerifyTask {
  const path = shard.paths[0] ?? "";
  const held = shard.layout.blocks.filter((block) => shard.has(block));
  return {
    model,
    path,
    bytes: bytesOf(held),
    async run({ signal, repairs, read, fetched, tell }) {
      const wrong: Block[] = [];
      for (const block of held) {
        signal.throwIfAborted();
        // Given back meanwhile.
        const isRight = !shard.has(block) || (await shard.isRight(block)) || !shard.has(block);
        read(block.bytes);
        // Whoever is served now comes first.
        await turn();
        if (isRight) continue;
        wrong.push(block);
        if (repairs) await shard.verify(block);
        tell({
          event: "damaged",
          model,
          path: shard.paths[block.part] ?? path,
          firstByte: block.position,
          lastByte: block.position + block.bytes - 1,
          part: groupText(block),
          action: repairs ? "dropped" : "kept",
          aside: null,
        });
      }
      await shard.record();
      if (wrong.length === 0) return tell({ event: "right", model, path, bytes: bytesOf(held) });
      if (!repairs) return;
      try {
        await config.repair.fetchBlocks({ shard, model, contentId, blocks: wrong }, signal, fetched);
        tell({ event: "repaired", model, path, firstByte: wrong[0]?.position ?? null, bytes: bytesOf(wrong) });
      } catch (error) {
        signal.throwIfAborted();
        // What nobody uses now need not take room either.
        if (!config.isNeeded(contentId)) await shard.drop(wrong.filter((block) => !shard.has(block)));
        tell({ event: "unrepaired", model, path, reason: `${reasonOf(error)} It is fetched when it is needed.` });
      }
    },
  };
}

/** A file that clusterd did not fetch: never touched, and right only where whoever brought it has told what it must be. */
function foreignTask({ file, source, sha256 }: CatalogEntry): VerifyTask {
  const { path, parts, profile } = file;
  const model = profile.id;
  const told = sha256 !== null && parts.length === 1 ? sha256 : null;
  const why = `nobody has told what its bytes must be (${source === "path" || source === "home" ? "a file of your own" : source})`;
  return {
    model,
    path,
    bytes: told === null ? 0 : profile.fileBytes,
    async run({ signal, read, tell }) {
      if (told === null) return tell({ event: "unverifiable", model, path, why });
      const hash = createHash("sha256");
      let bytes = 0;
      await using handle = await open(path, "r");
      const window = Buffer.allocUnsafe(READ_BYTES);
      for (;;) {
        signal.throwIfAborted();
        const { bytesRead } = await handle.read(window, 0, READ_BYTES, bytes);
        if (bytesRead === 0) break;
        hash.update(window.subarray(0, bytesRead));
        bytes += bytesRead;
        read(bytesRead);
      }
      if (hash.digest("hex") === told) return tell({ event: "right", model, path, bytes });
      tell({ event: "damaged", model, path, firstByte: 0, lastByte: bytes - 1, part: null, action: "kept", aside: null });
      tell({
        event: "unrepaired",
        model,
        path,
        reason: `It is ${source}'s file, which clusterd does not touch: fetch it again there.`,
      });
    },
  };
}

function reasonOf(error: unknown): string {
  const { message, next } = asClusterdError(error);
  return next === undefined ? message : `${message} ${next}`;
}
