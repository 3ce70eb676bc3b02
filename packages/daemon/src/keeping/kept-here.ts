import { rm, stat } from "node:fs/promises";
import {
  blocksFor,
  bytesOf,
  leftovers,
  pulledCopies,
  wholeDiskBytes,
  type Block,
  type Catalog,
  type Evictable,
  type PulledCopy,
  type ShardFile,
  type ShardStore,
} from "@clusterd/catalog";
import { layersText, type ContentId, type PullView } from "@clusterd/wire";
import type { NeededPart } from "./use-book.ts";
import { byContent } from "./needed-parts.ts";

/** Something on this node's disk that may be given back. */
export interface Kept extends Evictable {
  readonly model: string;
  /** In words: `layers 3-5 of big`. */
  readonly what: string;
  readonly contentId: ContentId | null;
  /** Gives it back to the disk, unless it has come into use meanwhile. */
  give(): Promise<void>;
}

export interface KeptHereConfig {
  readonly catalog: Catalog;
  readonly shards: ShardStore;
  readonly modelsDir: string;
  /** What must stay, as of now. */
  needed(): readonly NeededPart[];
  pulls(): readonly PullView[];
  usedAt(key: string): number | null;
  /** A model's whole file is about to go: nobody here reads from it any more. */
  close(contentId: ContentId): Promise<void>;
}

/** The blocks of a model that are here and that nothing needs. */
export function unneeded(shard: ShardFile, contentId: ContentId, needed: readonly NeededPart[]): readonly Block[] {
  const wishes = byContent(needed).get(contentId) ?? [];
  const needs = new Set(wishes.flatMap((wish) => blocksFor(shard.layout, wish)));
  return shard.layout.blocks.filter((block) => shard.has(block) && !needs.has(block));
}

/** A model's content where a pulled copy is what it is read from, or under which name else it is listed. */
export function contentOfCopy(catalog: Catalog, copy: PulledCopy): ContentId | null {
  const paths = new Set(copy.files.map(({ path }) => path));
  const entry = catalog.list().find(({ file, aliases }) => paths.has(file.path) || aliases.includes(copy.id));
  return entry?.file.profile.contentId ?? null;
}

/** A pull of `hf:OWNER/REPO…` is under way. */
function isPulling(pulls: readonly PullView[], repo: string): boolean {
  const name = repo.toLowerCase();
  return pulls.some(({ ref }) => {
    const asked = ref.trim().replace(/^hf:/u, "").toLowerCase();
    return asked === name || asked.startsWith(`${name}:`) || asked.startsWith(`${name}@`);
  });
}

/** All that clusterd keeps of models on this node's disk, but what is not its own: bundled ones, files of the home, other tools'. */
export async function keptHere(config: KeptHereConfig): Promise<{ readonly kept: readonly Kept[]; readonly usedBytes: number }> {
  const { catalog, shards } = config;
  const needed = config.needed();
  const wishes = byContent(needed);
  const isNeeded = (contentId: ContentId): boolean => byContent(config.needed()).has(contentId);
  const kept: Kept[] = [];
  let usedBytes = 0;

  for (const { contentId, model } of shards.list()) {
    const shard = await shards.get(contentId).catch(() => null);
    if (shard === null) continue;
    const bytes = await shard.diskBytes();
    usedBytes += bytes;
    const usedAt = config.usedAt(contentId) ?? 0;
    const one = { model, contentId, usedAt };
    if (!wishes.has(contentId)) {
      // Beside the whole file nobody reads parts of it.
      const isDouble = catalog.byContent(contentId) !== null;
      const kind = isDouble ? "useless" : "parts";
      const give = async (): Promise<void> => {
        if (!isNeeded(contentId)) await shards.remove(contentId);
      };
      kept.push({ ...one, kind, bytes, what: `all parts of ${model}`, inUse: false, give });
      continue;
    }
    const free = unneeded(shard, contentId, needed);
    for (const [group, blocks] of Map.groupBy(free, (block) => block.group)) {
      const what = typeof group === "number" ? `layer ${group} of ${model}` : `embeddings and output of ${model}`;
      const give = (): Promise<void> => {
        const now = new Set(unneeded(shard, contentId, config.needed()));
        return shard.drop(blocks.filter((block) => now.has(block)));
      };
      kept.push({ ...one, kind: "unneeded-layers", bytes: bytesOf(blocks), what, inUse: false, give });
    }
    const layers = layersHeld(shard, new Set(free));
    kept.push({
      ...one,
      kind: "parts",
      bytes: bytes - bytesOf(free),
      what: layers === "" ? model : `layers ${layers} of ${model}`,
      inUse: true,
      give: async () => undefined,
    });
  }

  const copies = await pulledCopies(config.modelsDir);
  usedBytes += await wholeDiskBytes(copies.flatMap(({ files }) => files.map(({ path }) => path)));
  for (const copy of copies) {
    // What several models share goes with the last of them.
    if (!copy.isModel) continue;
    const contentId = contentOfCopy(catalog, copy);
    const give = async (): Promise<void> => {
      if (contentId !== null && isNeeded(contentId)) return;
      if (contentId !== null) await config.close(contentId);
      await catalog.remove(copy.id);
    };
    kept.push({
      kind: "pulled",
      model: copy.id,
      what: copy.id,
      contentId,
      bytes: await wholeDiskBytes(copy.files.map(({ path }) => path)),
      usedAt: (contentId === null ? null : config.usedAt(contentId)) ?? (await changedAt(copy.files[0]?.path)),
      inUse: (contentId !== null && wishes.has(contentId)) || isPulling(config.pulls(), copy.repo),
      give,
    });
  }

  for (const { path, repo, isWrong } of await leftovers(config.modelsDir)) {
    const bytes = await wholeDiskBytes([path]);
    usedBytes += bytes;
    kept.push({
      kind: isWrong ? "useless" : "pulled",
      model: repo,
      what: isWrong ? `a file of ${repo} that was put aside` : `what came of a pull of ${repo} that was broken off`,
      contentId: null,
      bytes,
      usedAt: await changedAt(path),
      inUse: !isWrong && isPulling(config.pulls(), repo),
      async give() {
        if (!isWrong && isPulling(config.pulls(), repo)) return;
        for (const ending of ["", ".json"]) await rm(`${path}${ending}`, { force: true });
      },
    });
  }
  return { kept, usedBytes };
}

function layersHeld(shard: ShardFile, without: ReadonlySet<Block>): string {
  const groups = shard.layout.blocks.filter((block) => shard.has(block) && !without.has(block)).map(({ group }) => group);
  return layersText(groups.filter((group) => typeof group === "number"));
}

async function changedAt(path: string | undefined): Promise<number> {
  const found = path === undefined ? null : await stat(path).catch(() => null);
  return found?.mtimeMs ?? 0;
}
