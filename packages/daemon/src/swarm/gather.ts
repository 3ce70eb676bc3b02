import { access } from "node:fs/promises";
import { hubModel, readHubContent, type Gather, type GatherWish, type Throttle } from "@clusterd/catalog";
import { asClusterdError, sameModel, type ContentId } from "@clusterd/wire";
import { modelAmongMembers } from "./swarm-members.ts";
import { copyWhole, type WholeCopyConfig, type WholeCopyWish } from "./whole-copy.ts";

export interface GatherConfig extends WholeCopyConfig {
  /** For what comes from the hub. */
  readonly throttle?: Throttle;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * The files of a pull, from the members that have them, and from the hub what none has: all who pull the same at once move it once. Alone in
 * its cluster a node leaves them to the plain download, as it does with what that has begun, and where the hub serves no parts of files.
 */
export function createGather(config: GatherConfig): Gather {
  const { store, shards, log } = config;
  return async (wish) => {
    const { place, targets, signal } = wish;
    const hasOthers = [...store.state.others.values()].some(({ state }) => state === "alive");
    const isBegun = shards.list().some(({ model }) => sameModel(model, place.id));
    if ((!hasOthers && !isBegun) || (await hasPart(targets))) return null;
    const found = await contentOf(wish);
    if (found === null) return null;
    try {
      const copy = await copyWhole(config, {
        ...found,
        model: place.id,
        sha256: (part) => wish.sha256[part] ?? null,
        targets: () => targets,
        id: place.id,
        record: wish.record,
        signal,
        onProgress: wish.onProgress,
      });
      return copy?.sha256 ?? null;
    } catch (error) {
      signal.throwIfAborted();
      if (asClusterdError(error).code !== "unsupported") throw error;
      log(`${place.id} is fetched in one piece: ${asClusterdError(error).message}`);
      await shards.remove(found.contentId);
      return null;
    }
  };

  /** What the model is, by the hub's headers; where that cannot be reached, by a member that has it under the same id. */
  async function contentOf({
    place,
    signal,
  }: GatherWish): Promise<(Pick<WholeCopyWish, "hub"> & { contentId: ContentId }) | null> {
    try {
      const hub = hubModel(place, config.env, signal, config.throttle);
      const { contentId, headers } = await readHubContent(hub, signal);
      return { contentId, hub: { source: hub.source, headers } };
    } catch (error) {
      signal.throwIfAborted();
      const known = modelAmongMembers(store.state, place.id);
      if (known !== null) log(`${place.id} comes from the members alone: ${asClusterdError(error).message}`);
      return known === null ? null : { contentId: known.contentId, hub: null };
    }
  }
}

/** Whether a plain download has begun one of the files. */
async function hasPart(targets: readonly string[]): Promise<boolean> {
  for (const target of targets)
    if (
      await access(`${target}.part`).then(
        () => true,
        () => false,
      )
    )
      return true;
  return false;
}
