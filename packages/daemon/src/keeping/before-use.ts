import {
  blocksFor,
  isDoubtful,
  pulledCopies,
  readAgain,
  type Catalog,
  type ShardStore,
  type ShardWish,
  type WeightGroup,
} from "@clusterd/catalog";
import { asClusterdError, ClusterdError, type ContentId } from "@clusterd/wire";
import type { Repair, SetAside } from "./repair.ts";

export interface BeforeUseConfig {
  readonly catalog: Catalog;
  readonly shards: ShardStore;
  readonly modelsDir: string;
  readonly repair: Repair;
  used(contentId: ContentId): void;
  log(message: string): void;
  readonly signal: AbortSignal;
}

/** What is read again before an engine is given it: files that anyone else has written to since they were read, or that were read long ago. */
export interface BeforeUse {
  /**
   * For a head: a pulled file that is not what was pulled is put aside, and another copy of it, or what is fetched again, taken in its place.
   * Throws `model_broken` where there is none.
   */
  head(contentId: ContentId, signal: AbortSignal): Promise<void>;
  /** For a worker: what is wrong here the head sends with this load; it is fetched again meanwhile. */
  worker(contentId: ContentId, wish: ShardWish, signal: AbortSignal): Promise<void>;
  /** Of which groups of a model's weights all is here; null: of all of them. */
  groupsHere(contentId: ContentId): Promise<((group: WeightGroup) => boolean) | null>;
}

export function createBeforeUse(config: BeforeUseConfig): BeforeUse {
  const { catalog, shards, modelsDir, repair, log } = config;
  /** Two stages of one model start at once. */
  const reading = new Map<ContentId, Promise<readonly SetAside[]>>();

  /** Reads again what is doubtful of a model's pulled files, and puts aside what is wrong. */
  async function wrongOf(contentId: ContentId, signal: AbortSignal): Promise<readonly SetAside[]> {
    const file = catalog.byContent(contentId);
    if (file === null) return [];
    const paths = new Set(file.parts);
    const gone: SetAside[] = [];
    for (const copy of await pulledCopies(modelsDir)) {
      for (const one of copy.files) {
        if (!paths.has(one.path) || !(await isDoubtful(one, Date.now()))) continue;
        log(`reading ${one.path} again: it has changed since it was read, or that is long ago`);
        if (!(await readAgain(copy, one, { signal, onProgress: () => undefined })))
          gone.push(await repair.setAside(copy, one, contentId));
      }
    }
    return gone;
  }
  function wrong(contentId: ContentId, signal: AbortSignal): Promise<readonly SetAside[]> {
    const known = reading.get(contentId);
    if (known !== undefined) return known;
    const now = wrongOf(contentId, signal).finally(() => reading.delete(contentId));
    reading.set(contentId, now);
    return now;
  }
  async function fetchAll(gone: readonly SetAside[], signal: AbortSignal): Promise<void> {
    for (const one of gone) await repair.fetchAgain(one, signal);
  }

  return {
    async head(contentId, signal) {
      config.used(contentId);
      const gone = await wrong(contentId, AbortSignal.any([signal, config.signal]));
      const [first] = gone;
      if (first === undefined) return;
      const other = catalog.byContent(contentId);
      if (other !== null) {
        log(`${other.path} is used in its place`);
        return;
      }
      try {
        await fetchAll(gone, signal);
      } catch (error) {
        signal.throwIfAborted();
        throw new ClusterdError(
          "model_broken",
          `${first.file.path} was not what was pulled any more and is put aside; it could not be fetched again: ${asClusterdError(error).message}`,
          { next: `Once that is mended: clusterd pull ${first.copy.ref.replace(/@[^@]*$/u, "")}`, cause: error },
        );
      }
    },
    async worker(contentId, wish, signal) {
      config.used(contentId);
      const gone = await wrong(contentId, signal);
      if (gone.length > 0 && catalog.byContent(contentId) === null)
        void fetchAll(gone, config.signal).catch((error: unknown) =>
          log(`${gone[0]?.copy.id} was not fetched again: ${asClusterdError(error).message}`),
        );
      if (catalog.byContent(contentId) !== null) return;
      const shard = await shards.get(contentId);
      if (shard !== null) await shard.check(blocksFor(shard.layout, wish), signal);
    },
    async groupsHere(contentId) {
      if (catalog.byContent(contentId) !== null) return null;
      const shard = await shards.get(contentId).catch(() => null);
      if (shard === null) return null;
      const partly = new Set(shard.layout.blocks.filter((block) => !shard.has(block)).map(({ group }) => group));
      return (group) => !partly.has(group);
    },
  };
}
