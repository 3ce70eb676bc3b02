import { bytesOf, type Block, type Catalog, type HeldModel, type ShardStore, type ShardWish } from "@clusterd/catalog";
import { asModelId, layersText, type ContentId, type HeldPart, type LayerSpan } from "@clusterd/wire";
import type { Store } from "../state/store.ts";

/** Between two looks at what has come: an advert goes to all members. What begins or ends is told at once. */
const TELL_MS = 3_000;

/** What this node tells the members of the parts that it has, and of those it fetches. */
export interface HeldParts extends AsyncDisposable {
  /** A fetch has begun, and is over when this is disposed of. */
  fetching(contentId: ContentId, model: string, wish: ShardWish, layout: HeldModel["layout"]): Disposable;
  isFetching(contentId: ContentId): boolean;
  /** Something was begun or deleted. */
  changed(): void;
}

export interface HeldPartsConfig {
  readonly store: Store;
  readonly catalog: Pick<Catalog, "byContent">;
  readonly shards: Pick<ShardStore, "list" | "get">;
}

interface Fetching {
  readonly contentId: ContentId;
  readonly model: string;
  readonly layers: readonly number[];
  readonly hasHead: boolean;
}

/** What there is of a model: the layers of which everything is there, and whether all that lies on the head is. */
export function heldOf(model: Pick<HeldModel, "layout" | "has">): {
  readonly layers: readonly number[];
  readonly hasHead: boolean;
  readonly bytes: number;
} {
  const there: Block[] = [];
  const partly = new Set<Block["group"]>();
  const groups = new Set<Block["group"]>();
  for (const block of model.layout.blocks) {
    groups.add(block.group);
    if (model.has(block)) there.push(block);
    else partly.add(block.group);
  }
  return {
    layers: [...groups].filter((group) => typeof group === "number" && !partly.has(group)) as number[],
    hasHead: groups.has("head") && !partly.has("head"),
    bytes: bytesOf(there),
  };
}

export function createHeldParts({ store, catalog, shards }: HeldPartsConfig): HeldParts {
  const fetches = new Set<Fetching>();
  let told = "";
  let looking: Promise<void> = Promise.resolve();
  let isOver = false;

  function spanOf(contentId: ContentId): LayerSpan | null {
    const own = [...fetches].filter((one) => one.contentId === contentId);
    return own.length === 0
      ? null
      : { layers: layersText(own.flatMap(({ layers }) => layers)), hasHead: own.some(({ hasHead }) => hasHead) };
  }

  async function look(): Promise<void> {
    const names = new Map([...fetches].map(({ contentId, model }) => [contentId, model]));
    for (const { contentId, model } of shards.list()) names.set(contentId, model);
    const held: HeldPart[] = [];
    for (const [contentId, model] of names) {
      const fetching = spanOf(contentId);
      if (catalog.byContent(contentId) !== null && fetching === null) continue;
      // One that cannot be opened is told of no further; it is fetched again when it is wanted.
      const shard = await shards.get(contentId).catch(() => null);
      const { layers, hasHead, bytes } = shard === null ? { layers: [], hasHead: false, bytes: 0 } : heldOf(shard);
      if (bytes === 0 && fetching === null) continue;
      held.push({ contentId, model: asModelId(model), layers: layersText(layers), hasHead, diskBytes: bytes, fetching });
    }
    const text = JSON.stringify(held);
    if (text === told || isOver) return;
    told = text;
    store.dispatch({ type: "own", facts: { held } });
  }
  const changed = (): void => {
    if (!isOver) looking = looking.then(look).catch(() => undefined);
  };
  const timer = setInterval(changed, TELL_MS);
  changed();

  return {
    fetching(contentId, model, { firstLayer, lastLayer, isHead }, { blocks }) {
      const groups = new Set(blocks.map(({ group }) => group));
      const layers = [...groups].filter((group) => typeof group === "number" && group >= firstLayer && group <= lastLayer);
      const one: Fetching = { contentId, model, layers: layers as number[], hasHead: isHead };
      fetches.add(one);
      changed();
      return {
        [Symbol.dispose]() {
          if (fetches.delete(one)) changed();
        },
      };
    },
    isFetching: (contentId) => [...fetches].some((one) => one.contentId === contentId),
    changed,
    async [Symbol.asyncDispose]() {
      isOver = true;
      clearInterval(timer);
      await looking;
    },
  };
}
