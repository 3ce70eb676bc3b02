import { createWeightDigests, groupOf, namesOf, readWeightTable, type Catalog, type GroupDigest } from "@clusterd/catalog";
import { withDigests, type ManifestStore, type ModelFile, type TensorHash } from "@clusterd/catalog";
import type { WeightDigests, WeightGroup, WeightTable } from "@clusterd/catalog";
import type { LocalWeights } from "@clusterd/engine";
import { ClusterdError, HASHED_WEIGHTS_MAX } from "@clusterd/wire";
import type { ContentId, HashedWeight, WorkerStartRequest } from "@clusterd/wire";

/** An engine asks for tensors by their hash that are larger (`HASH_THRESHOLD` in ggml-rpc.cpp). */
const HASHED_BYTES_MIN: number = 10 * 1024 * 1024;

/** The weights of the models on this node's disk: where they lie, and their digests. */
export interface ModelWeights {
  /** Throws `model_broken` where the file is not here any more. */
  open(contentId: ContentId, signal: AbortSignal): Promise<OpenWeights>;
  /** What of a stage's weights this node has with the same content; a model that is not here at all has none. */
  heldFor(request: WorkerStartRequest, signal: AbortSignal): Promise<HeldWeights>;
}

export interface OpenWeights {
  readonly table: WeightTable;
  digests(groups: readonly WeightGroup[], signal: AbortSignal): Promise<readonly GroupDigest[]>;
}

export interface HeldWeights {
  /** For each digest of the request. */
  readonly held: readonly boolean[];
  /** Null where nothing is held. */
  readonly weights: LocalWeights | null;
  /** Layers that are here, but not as the head has them. */
  readonly differing: readonly number[];
  /** Layers of those held that the head has otherwise: here they are what the hub says. */
  readonly overruled: readonly number[];
  /** Whether some were taken although the head has none to compare with. */
  readonly unchecked: boolean;
  /** Large ones of the layers that differ, for a head's engine that asks for them by their hashes. */
  readonly hashed: readonly HashedWeight[];
}

interface OpenModel {
  readonly file: ModelFile;
  readonly table: WeightTable;
  readonly digests: WeightDigests;
}

/** The groups of a stage: its layers, and what follows the last one. */
export function groupsOf(stage: { readonly firstLayer: number; readonly lastLayer: number }): readonly WeightGroup[] {
  const layers = Array.from({ length: stage.lastLayer - stage.firstLayer + 1 }, (_, index) => stage.firstLayer + index);
  return [...layers, null];
}

/** This node's files of models, whole or in parts. */
export interface WeightFiles extends Pick<Catalog, "byContent"> {
  /** Reads again, before a worker is given them, what may have changed on the disk. */
  beforeWorker?(request: WorkerStartRequest, signal: AbortSignal): Promise<void>;
  /** Of which groups all is here: of others there may be a part, which is none of the group's. Null: of all. */
  groupsHere?(contentId: ContentId): Promise<((group: WeightGroup) => boolean) | null>;
}

/** `manifests`: what is known of models' tensors, by the hub's word as well. */
export function createModelWeights(files: WeightFiles, cacheDir: string, manifests: ManifestStore | null = null): ModelWeights {
  /** Of the file as it was when its table was read: another file has another content id. Stages open the same model at once. */
  const opened = new Map<ContentId, { readonly path: string; readonly model: Promise<OpenModel> }>();

  async function read(file: ModelFile): Promise<OpenModel> {
    // For all who wait for it: none of their signals ends it, and a header is read in a moment.
    const table = await readWeightTable(file, new AbortController().signal);
    return { file, table, digests: createWeightDigests({ file, table, cacheDir }) };
  }

  async function opening(contentId: ContentId, signal: AbortSignal): Promise<OpenModel | null> {
    const file = files.byContent(contentId);
    if (file === null) return null;
    let known = opened.get(contentId);
    if (known === undefined || known.path !== file.path) {
      known = { path: file.path, model: read(file) };
      opened.set(contentId, known);
    }
    try {
      const model = await known.model;
      signal.throwIfAborted();
      return model;
    } catch (error) {
      // Read again next time, where it was that which failed.
      if (!signal.aborted && opened.get(contentId) === known) opened.delete(contentId);
      throw error;
    }
  }

  /** The digests of groups; null also where a part of one is here: a digest of that would be one of other weights. */
  async function digestsOf(
    contentId: ContentId,
    entry: OpenModel,
    groups: readonly WeightGroup[],
    signal: AbortSignal,
  ): Promise<readonly GroupDigest[]> {
    const isHere = (await files.groupsHere?.(contentId)) ?? null;
    const here = groups.filter((group) => isHere === null || isHere(group));
    const digests = await entry.digests.of(here, signal);
    return groups.map((group) => digests[here.indexOf(group)] ?? null);
  }

  /** The hashes of these groups' large tensors: read now, where they were not before. */
  async function hashesOf(
    entry: OpenModel,
    groups: ReadonlySet<WeightGroup>,
    signal: AbortSignal,
  ): Promise<readonly HashedWeight[]> {
    const names = [...groups]
      .flatMap((group) => namesOf(entry.table, group))
      .filter((name) => (entry.table.get(name)?.bytes ?? 0) > HASHED_BYTES_MIN)
      .slice(0, HASHED_WEIGHTS_MAX);
    if (names.length === 0) return [];
    const tensors: ReadonlyMap<string, TensorHash> = await entry.digests.tensors(names, signal);
    const known = { source: "file", parts: [], tensors, blocks: new Map() } as const;
    await manifests?.add(entry.file, (manifest) => withDigests(manifest, known), signal).catch(() => undefined);
    return [...tensors].map(([name, { fnv1a }]) => ({ name, fnv1a }));
  }

  /** Which of these groups are here as the hub has them, as far as a manifest tells: read now, tensor by tensor, where they were not before. */
  async function asTheHub(
    entry: OpenModel,
    groups: ReadonlySet<WeightGroup>,
    signal: AbortSignal,
  ): Promise<ReadonlySet<WeightGroup>> {
    const known = groups.size === 0 ? null : ((await manifests?.of(entry.file, signal))?.manifest ?? null);
    if (known === null || known.source === "file") return new Set();
    const wanted = new Map(known.tensors.map(({ name, sha256 }) => [name, sha256]));
    const right = [...groups].map(async (group) => {
      const names = namesOf(entry.table, group);
      if (names.every((name) => wanted.get(name) == null)) return false;
      const own = await entry.digests.tensors(names, signal);
      // Nothing but zeros has no digest, there as here.
      return names.every((name) => (own.get(name)?.sha256 ?? null) === wanted.get(name));
    });
    const found = await Promise.all(right);
    return new Set([...groups].filter((_, index) => found[index]));
  }

  return {
    async open(contentId, signal) {
      const entry = await opening(contentId, signal);
      if (entry === null) throw new ClusterdError("model_broken", "The model's file is not on this node any more.");
      return { table: entry.table, digests: (groups, within) => digestsOf(contentId, entry, groups, within) };
    },
    async heldFor(request, signal) {
      const groups = groupsOf(request);
      const nothing = {
        held: groups.map(() => false),
        weights: null,
        differing: [],
        overruled: [],
        unchecked: false,
        hashed: [],
      };
      await files.beforeWorker?.(request, signal);
      const entry = await opening(request.contentId, signal).catch(() => null);
      // A path with a line end cannot be told to the engine.
      if (entry === null || request.digests.length !== groups.length || entry.file.parts.some((path) => path.includes("\n")))
        return nothing;
      const own = await digestsOf(request.contentId, entry, groups, signal);
      const isSame = own.map((digest, index) => digest !== null && digest === (request.digests[index] ?? digest));
      // One of the two copies has changed: the head's, where this one is what it must be.
      const changed = new Set(groups.filter((_, index) => own[index] !== null && !isSame[index]));
      const right = await asTheHub(entry, changed, signal);
      const held = isSame.map((is, index) => is || right.has(groups[index] ?? null));
      const groupsHeld = new Set(groups.filter((_, index) => held[index]));
      const otherwise = new Set([...changed].filter((group) => !right.has(group)));
      const hashed = request.hashes === true ? await hashesOf(entry, otherwise, signal) : [];
      const further = new Set(hashed.map(({ name }) => name));
      const places = new Map([...entry.table].filter(([name]) => groupsHeld.has(groupOf(name)) || further.has(name)));
      return {
        held,
        hashed,
        weights: places.size === 0 ? null : { parts: entry.file.parts, places },
        differing: [...otherwise].filter((group) => group !== null),
        overruled: [...right].filter((group) => group !== null),
        unchecked: held.some((is, index) => is && request.digests[index] === null),
      };
    },
  };
}

/** What the books of a stage's load begin with, by the head's table and digests and what the worker holds. */
export function stageWeights(
  table: WeightTable,
  groups: readonly WeightGroup[],
  digests: readonly GroupDigest[],
  held: readonly boolean[],
  hashed: readonly HashedWeight[] = [],
): {
  readonly weights: ReadonlyMap<string, number>;
  readonly local: ReadonlySet<string>;
  readonly hashed: ReadonlyMap<string, string>;
  readonly missing: ReadonlySet<string>;
  readonly layers: readonly (readonly string[])[];
} {
  const namesWhere = (wanted: (index: number) => boolean): ReadonlySet<string> =>
    new Set(groups.flatMap((group, index) => (wanted(index) ? namesOf(table, group) : [])));
  return {
    weights: new Map([...table].map(([name, place]) => [name, place.bytes])),
    local: namesWhere((index) => held[index] === true),
    hashed: new Map(hashed.map(({ name, fnv1a }) => [name, fnv1a])),
    missing: namesWhere((index) => digests[index] === null),
    // Layers for later tokens are loaded only by an engine that speculates with them.
    layers: groups.flatMap((group) =>
      group === null || table.has(`blk.${group}.nextn.eh_proj.weight`) ? [] : [namesOf(table, group)],
    ),
  };
}
