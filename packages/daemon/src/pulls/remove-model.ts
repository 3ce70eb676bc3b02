import { bytesOf, pulledCopies, type Catalog, type ShardStore } from "@clusterd/catalog";
import { asModelId, ClusterdError, layersText, modelsNamed, sameModel, type ContentId, type ModelId } from "@clusterd/wire";
import { unneeded } from "../keeping/kept-here.ts";
import { neededParts } from "../keeping/needed-parts.ts";
import type { Keeping } from "../keeping/keeping.ts";
import type { Store } from "../state/store.ts";
import { allDeployments } from "../state/view.ts";

export interface RemoveConfig {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly shards: ShardStore;
  readonly keeping: Pick<Keeping, "needed" | "busy" | "look">;
  readonly modelsDir: string;
  /** A model's whole file is about to go. */
  close(contentId: ContentId): Promise<void>;
  /** Models or parts of them went. */
  changed(): void;
}

/** What of a model went, and the bytes that are free again. */
export interface Removed {
  readonly model: string;
  readonly bytes: number;
  /** Of those, in parts of it. */
  readonly partBytes: number;
  /** The layers that were given back, `0-9`; null: all there was. */
  readonly layers: string | null;
}

/** The parts of a model that are here, by the model's id, its file's or the REF it was deployed by. */
function partsOf(
  { catalog, shards }: RemoveConfig,
  ref: string,
): { readonly contentId: ContentId; readonly model: ModelId } | null {
  const known = catalog.known(ref)?.profile.contentId ?? null;
  const all = shards.list().map((held) => ({ ...held, id: held.model, aliases: [held.file.profile.id] }));
  // What the name means here, of that alone; else what it means among the parts: never another revision's.
  const found = known === null ? modelsNamed(ref, all) : all.filter(({ contentId }) => contentId === known);
  const [first] = found;
  if (first === undefined) return null;
  if (found.length > 1)
    throw new ClusterdError("invalid_request", `There are parts of ${found.length} models of that name here.`, {
      next: `Say which: ${found.map(({ model }) => model).join(", ")}`,
      param: "model",
    });
  return { contentId: first.contentId, model: asModelId(first.model) };
}

function mustBeUnused({ store, keeping }: RemoveConfig, contentId: ContentId): void {
  const deployed = neededParts(store.state).some((part) => part.contentId === contentId);
  if (deployed) {
    const model = allDeployments(store.state).find((one) => one.contentId === contentId)?.view.model ?? "A draft model";
    throw new ClusterdError("invalid_request", `${model} is deployed from its file here.`, {
      next: `Take it off the cluster first: clusterd unload ${model}. Layers that are not needed here go with: clusterd rm --unused`,
      param: "model",
    });
  }
  // What a head has asked after a moment ago, and not deployed since, is no reason against who says that it is to go.
  if (keeping.busy().some((part) => part.contentId === contentId))
    throw new ClusterdError("invalid_request", "That model is being fetched, or another node is reading it from here.", {
      next: "Try again in a moment.",
      param: "model",
    });
}

/** Deletes what was pulled of a model, and its parts, from this node's disk, unless a deployment reads from it here. */
export async function removeModel(config: RemoveConfig, ref: string): Promise<Removed> {
  const { catalog, shards } = config;
  const file = catalog.known(ref);
  const parts = partsOf(config, ref);
  const contentId = file?.profile.contentId ?? parts?.contentId ?? null;
  if (contentId !== null) mustBeUnused(config, contentId);
  // A file that others were reading from stays on the disk as long as it is open.
  if (contentId !== null) await config.close(contentId);
  const whole = await removePulled(config, ref, parts !== null);
  const partBytes = parts === null ? 0 : await shards.remove(parts.contentId);
  config.changed();
  await config.keeping.look();
  return { model: whole?.id ?? parts?.model ?? ref, bytes: (whole?.bytes ?? 0) + partBytes, partBytes, layers: null };
}

/** What was pulled; where there are parts, none of it need have been. */
async function removePulled(
  { catalog, modelsDir }: RemoveConfig,
  ref: string,
  hasParts: boolean,
): Promise<{ readonly id: string; readonly bytes: number } | null> {
  if (!hasParts) return catalog.remove(ref);
  const file = catalog.known(ref);
  const copies = await pulledCopies(modelsDir);
  const isPulled = copies.some(
    (copy) => copy.files.some(({ path }) => path === file?.path) || sameModel(asModelId(copy.id), ref),
  );
  return isPulled ? catalog.remove(ref) : null;
}

/** Gives back the layers of a model's parts that no deployment needs on this node. */
export async function removeUnused(config: RemoveConfig, ref: string): Promise<Removed> {
  const { catalog, shards, keeping } = config;
  const parts = partsOf(config, ref);
  const shard = parts === null ? null : await shards.get(parts.contentId);
  if (parts === null || shard === null) {
    const whole = catalog.known(ref);
    throw new ClusterdError("not_found", `There are no parts of ${ref} on this node.`, {
      next:
        whole === null
          ? "See what there is: clusterd models"
          : `Here is all of it: ${whole.path}. Delete it with: clusterd rm ${ref}`,
    });
  }
  const { contentId, model } = parts;
  const needed = [...neededParts(config.store.state), ...keeping.busy()];
  if (!needed.some((part) => part.contentId === contentId)) return removeParts(config, contentId, model);
  const free = unneeded(shard, contentId, needed);
  const before = await shard.diskBytes();
  await shard.drop(free);
  const layers = layersText(free.map(({ group }) => group).filter((group) => typeof group === "number"));
  const bytes = Math.min(bytesOf(free), Math.max(0, before - (await shard.diskBytes())));
  config.changed();
  await keeping.look();
  return { model, bytes, partBytes: bytes, layers };
}

async function removeParts(config: RemoveConfig, contentId: ContentId, model: string): Promise<Removed> {
  const bytes = await config.shards.remove(contentId);
  config.changed();
  await config.keeping.look();
  return { model, bytes, partBytes: bytes, layers: null };
}
