import { createWeightDigests, groupOf, namesOf, readWeightTable, type Catalog, type GroupDigest } from "@clusterd/catalog";
import type { ModelFile, WeightDigests, WeightGroup, WeightTable } from "@clusterd/catalog";
import type { LocalWeights } from "@clusterd/engine";
import { ClusterdError, type ContentId, type WorkerStartRequest } from "@clusterd/wire";

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
  /** Whether some were taken although the head has none to compare with. */
  readonly unchecked: boolean;
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

/** `files`: this node's file of a model, whole or in parts. */
export function createModelWeights(files: Pick<Catalog, "byContent">, cacheDir: string): ModelWeights {
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

  return {
    async open(contentId, signal) {
      const entry = await opening(contentId, signal);
      if (entry === null) throw new ClusterdError("model_broken", "The model's file is not on this node any more.");
      return { table: entry.table, digests: (groups, within) => entry.digests.of(groups, within) };
    },
    async heldFor(request, signal) {
      const groups = groupsOf(request);
      const nothing = { held: groups.map(() => false), weights: null, differing: [], unchecked: false };
      const entry = await opening(request.contentId, signal).catch(() => null);
      // A path with a line end cannot be told to the engine.
      if (entry === null || request.digests.length !== groups.length || entry.file.parts.some((path) => path.includes("\n")))
        return nothing;
      const own = await entry.digests.of(groups, signal);
      const held = own.map((digest, index) => digest !== null && digest === (request.digests[index] ?? digest));
      const groupsHeld = new Set(groups.filter((_, index) => held[index]));
      const places = new Map([...entry.table].filter(([name]) => groupsHeld.has(groupOf(name))));
      return {
        held,
        weights: groupsHeld.size === 0 ? null : { parts: entry.file.parts, places },
        differing: groups.filter((group, index): group is number => group !== null && own[index] !== null && !held[index]),
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
): {
  readonly weights: ReadonlyMap<string, number>;
  readonly local: ReadonlySet<string>;
  readonly missing: ReadonlySet<string>;
  readonly layers: readonly (readonly string[])[];
} {
  const namesWhere = (wanted: (index: number) => boolean): ReadonlySet<string> =>
    new Set(groups.flatMap((group, index) => (wanted(index) ? namesOf(table, group) : [])));
  return {
    weights: new Map([...table].map(([name, place]) => [name, place.bytes])),
    local: namesWhere((index) => held[index] === true),
    missing: namesWhere((index) => digests[index] === null),
    // Layers for later tokens are loaded only by an engine that speculates with them.
    layers: groups.flatMap((group) =>
      group === null || table.has(`blk.${group}.nextn.eh_proj.weight`) ? [] : [namesOf(table, group)],
    ),
  };
}
