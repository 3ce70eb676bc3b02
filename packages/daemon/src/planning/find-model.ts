import type { Catalog, ModelFile } from "@clusterd/catalog";
import {
  asClusterdError,
  ClusterdError,
  ambiguous,
  modelsNamed,
  type ContentId,
  type ControlAnswers,
  type ControlRequest,
  type HubPlace,
  type ModelProfile,
  type NodeId,
} from "@clusterd/wire";
import type { Store } from "../state/store.ts";
import { notAllThere, partNamed, partOf, placesOf } from "./model-places.ts";

const PROFILE_MS_MAX = 10_000;

export interface FindModelConfig {
  readonly store: Store;
  readonly catalog: Catalog;
  /** Of a model that is here, whole or in parts. */
  fileOf(contentId: ContentId): ModelFile | null;
  ask<Type extends ControlRequest["type"]>(
    to: NodeId,
    request: Extract<ControlRequest, { type: Type }>,
    signal: AbortSignal,
  ): Promise<ControlAnswers[Type]>;
  /** A path given to this node is remembered: tell the members of the model. */
  modelsChanged(): void;
}

/** A model to load, and where on the hub it is where no member has all of it. */
export interface FoundModel {
  readonly profile: ModelProfile;
  readonly hub: HubPlace | null;
}

/** What a name or a content id means: on this node's disk, on a member's, in parts on several, or on a hub. */
export interface FindModel {
  /** To describe it, also from the catalogue or a hub. Throws `not_found`. */
  profileOf(ref: string, signal: AbortSignal, use?: "describe" | "load"): Promise<ModelProfile>;
  /** Throws `shards_unreachable` where the members have some of it, but not all, and no hub has it. */
  toLoad(ref: string, signal: AbortSignal): Promise<FoundModel>;
  byContent(contentId: ContentId, signal: AbortSignal): Promise<ModelProfile>;
}

export function createFindModel(config: FindModelConfig): FindModel {
  const { store, catalog } = config;

  async function ask(node: NodeId, contentId: ContentId, signal: AbortSignal): Promise<ModelProfile> {
    const within = AbortSignal.any([signal, AbortSignal.timeout(PROFILE_MS_MAX)]);
    return (await config.ask(node, { type: "profile", contentId }, within)).profile;
  }

  /** The profile of a model that someone has whole, by its name. */
  async function whole(ref: string, signal: AbortSignal): Promise<ModelProfile | null> {
    // Read again, which an unchanged file costs nothing: it may be another by now, or be gone.
    if (catalog.known(ref) !== null) return (await catalog.resolve(ref, signal)).profile;
    const there = [...store.state.others].filter(([, { state }]) => state === "alive");
    const models = there.flatMap(([node, { advert }]) => advert.models.map((model) => ({ ...model, node })));
    const candidates = ambiguous(ref, models);
    if (candidates.length > 0)
      throw new ClusterdError("usage", `${ref} may be any of several models: ${candidates.join(", ")}.`, {
        next: `Say which: ${candidates[0] ?? ref}, for example.`,
      });
    const [found] = modelsNamed(ref, models);
    return found === undefined ? null : ask(found.node, found.contentId, signal);
  }

  /** The profile of a model of which members have parts, under the name that it has there. */
  async function inParts(found: ReturnType<typeof partOf>, signal: AbortSignal): Promise<ModelProfile | null> {
    if (found === null) return null;
    const { node, part } = found;
    const own = config.fileOf(part.contentId)?.profile ?? null;
    const profile = own ?? (node === store.state.self ? null : await ask(node, part.contentId, signal));
    return profile === null ? null : { ...profile, id: part.model };
  }

  async function profileOf(ref: string, signal: AbortSignal, use: "describe" | "load" = "load"): Promise<ModelProfile> {
    const known = (await whole(ref, signal)) ?? (await inParts(partNamed(store.state, ref), signal));
    if (known !== null) return known;
    const profile = use === "describe" ? await catalog.describe(ref, signal) : (await catalog.resolve(ref, signal)).profile;
    config.modelsChanged();
    return profile;
  }

  async function onHub(ref: string, signal: AbortSignal): Promise<FoundModel> {
    const { profile, place } = await catalog.locate(ref, signal);
    return placesOf(store.state, profile).holders.size === 0 ? { profile, hub: place } : asWhole(profile, signal);
  }

  /** Of the very same model someone has a file under another name: it is run from that, and known by this name as well. */
  async function asWhole({ contentId, id }: ModelProfile, signal: AbortSignal): Promise<FoundModel> {
    catalog.alsoCalled(contentId, id);
    config.modelsChanged();
    return { profile: await byContent(contentId, signal), hub: null };
  }

  /** Where the members have all of a model together, they are not kept waiting by a hub; where they do not, it has to have the rest. */
  async function fromParts(ref: string, profile: ModelProfile, signal: AbortSignal): Promise<FoundModel> {
    const { missing, holders } = placesOf(store.state, profile);
    if (holders.size > 0) return asWhole(profile, signal);
    if (missing.bytes === 0) return { profile, hub: null };
    const refusal = notAllThere(store.state, profile.id, profile, missing);
    if (!ref.startsWith("hf:")) throw refusal;
    try {
      return await onHub(ref, signal);
    } catch (error) {
      signal.throwIfAborted();
      const { next, details } = refusal;
      throw new ClusterdError(refusal.code, `${refusal.message} And from the hub: ${asClusterdError(error).message}`, {
        ...(next === undefined ? {} : { next }),
        ...(details === undefined ? {} : { details }),
        cause: error,
      });
    }
  }

  async function byContent(contentId: ContentId, signal: AbortSignal): Promise<ModelProfile> {
    const own = catalog.byContent(contentId);
    if (own !== null) return own.profile;
    const holder = [...store.state.others].find(
      ([, other]) => other.state === "alive" && other.advert.models.some((model) => model.contentId === contentId),
    );
    if (holder !== undefined) return ask(holder[0], contentId, signal);
    const profile = await inParts(partOf(store.state, contentId), signal);
    if (profile === null) throw new ClusterdError("not_found", "No node has that model any more.");
    return profile;
  }

  return {
    profileOf,
    byContent,
    async toLoad(ref, signal) {
      const known = await whole(ref, signal);
      if (known !== null) return { profile: known, hub: null };
      const parts = await inParts(partNamed(store.state, ref), signal);
      if (parts !== null) return fromParts(ref, parts, signal);
      try {
        return { profile: await profileOf(ref, signal), hub: null };
      } catch (error) {
        if (!ref.startsWith("hf:") || asClusterdError(error).code !== "not_found") throw error;
        return onHub(ref, signal);
      }
    },
  };
}
