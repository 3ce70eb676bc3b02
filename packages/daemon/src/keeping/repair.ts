import { rm } from "node:fs/promises";
import {
  bytesOf,
  firstDifference,
  hubModel,
  pulledCopies,
  quarantine,
  restoreNames,
  type Block,
  type Catalog,
  type PulledCopy,
  type PulledCopyFile,
  type ShardFile,
} from "@clusterd/catalog";
import { ClusterdError, type ContentId, type HubPlace } from "@clusterd/wire";
import type { Pulls } from "../pulls/pulls.ts";
import { openSwarm, type SwarmConfig } from "../swarm/swarm.ts";

export interface RepairConfig {
  readonly catalog: Catalog;
  readonly modelsDir: string;
  readonly swarm: SwarmConfig;
  pulls(): Pick<Pulls, "follow">;
  /** Where a model that is deployed from here is on the hub; null: not known. */
  hubOf(contentId: ContentId): HubPlace | null;
  /** A model's whole file is about to go. */
  close(contentId: ContentId): Promise<void>;
  changed(): void;
  log(message: string): void;
  readonly signal: AbortSignal;
}

/** A file that was put aside, and what it was. */
export interface SetAside {
  readonly copy: PulledCopy;
  readonly file: PulledCopyFile;
  readonly aside: string;
}

/** What is done about bytes on this disk that are not what they must be. */
export interface Repair {
  /** Puts a pulled file aside, says so, and lists what there is besides. */
  setAside(copy: PulledCopy, file: PulledCopyFile, contentId: ContentId | null): Promise<SetAside>;
  /** Fetches such a file again and deletes what was put aside; gives the first byte that was wrong. Throws as a pull does. */
  fetchAgain(gone: SetAside, signal: AbortSignal, onProgress?: OnFetched): Promise<number | null>;
  /** Fetches blocks again, from members before the hub. Throws `shards_unreachable`, `does_not_fit`. */
  fetchBlocks(damaged: DamagedBlocks, signal: AbortSignal, onProgress: OnFetched): Promise<void>;
}

export type OnFetched = (doneBytes: number, totalBytes: number) => void;

export interface DamagedBlocks {
  readonly shard: ShardFile;
  readonly model: string;
  readonly contentId: ContentId;
  readonly blocks: readonly Block[];
}

export function createRepair(config: RepairConfig): Repair {
  const { catalog, log } = config;

  async function place(contentId: ContentId, model: string, signal: AbortSignal): Promise<HubPlace | null> {
    const known = config.hubOf(contentId);
    if (known !== null || !/^[^/\s]+\/[^/\s]+:/u.test(model)) return known;
    const found = await catalog.locate(`hf:${model}`, signal).catch(() => null);
    return found?.profile.contentId === contentId ? found.place : null;
  }

  return {
    async setAside(copy, file, contentId) {
      if (contentId !== null) await config.close(contentId);
      const aside = await quarantine(copy, file);
      log(
        `${file.path}: its ${file.record.bytes} bytes are not what was pulled (SHA-256). It is put aside as ${aside} and not used any more.`,
      );
      await catalog.refresh(config.signal);
      config.changed();
      return { copy, file, aside };
    },
    async fetchAgain({ copy, file, aside }, signal, onProgress) {
      log(`fetching ${copy.id} again`);
      for await (const event of config.pulls().follow(copy.ref)) {
        signal.throwIfAborted();
        if (event.event === "progress") onProgress?.(event.bytes, event.totalBytes);
        if (event.event === "failed") {
          const { code, message, next } = event.error;
          throw new ClusterdError(code, message, next === null ? {} : { next });
        }
      }
      const now = (await pulledCopies(config.modelsDir))
        .flatMap(({ files }) => files)
        .find(({ record }) => record.sha256 === file.record.sha256 && record.path === file.record.path);
      if (now === undefined) throw new ClusterdError("model_broken", `${copy.id} is another model on the hub by now.`);
      await restoreNames(copy, file.record, now.record);
      await catalog.refresh(config.signal);
      config.changed();
      const at = await firstDifference(aside, now.path, signal).catch(() => null);
      await rm(aside, { force: true });
      log(`${now.path} is here again, and right${at === null ? "" : `; byte ${at} had been wrong`}`);
      return at;
    },
    async fetchBlocks({ shard, model, contentId, blocks }, signal, onProgress) {
      const hubPlace = await place(contentId, model, signal);
      const hub = hubPlace === null ? null : hubModel(hubPlace, process.env, signal).source;
      for (const group of new Set(blocks.map((block) => block.group))) {
        const layer = typeof group === "number" ? group : null;
        const wish = { firstLayer: layer ?? 0, lastLayer: layer ?? -1, isHead: group === "head" };
        await using swarm = openSwarm(config.swarm, { contentId, model, root: null, named: [], hub, wish, signal });
        const what = `${bytesOf(blocks.filter((block) => block.group === group))} damaged bytes of ${model}`;
        await swarm.fetch(shard, what, onProgress);
      }
      const left = blocks.filter((block) => !shard.has(block));
      if (left.length > 0)
        throw new ClusterdError("shards_unreachable", `${bytesOf(left)} bytes of ${model} did not come again.`);
    },
  };
}
