import type { Block, ShardWish } from "@clusterd/catalog";
import {
  modelsNamed,
  parseLayers,
  type Advert,
  type ContentId,
  type HeldPart,
  type LayerSpan,
  type NodeId,
} from "@clusterd/wire";
import { hasWhole } from "../planning/model-places.ts";
import type { DaemonState } from "../state/daemon-state.ts";

/** A member that fetches some of a model at the moment. */
export interface Fetcher {
  readonly node: NodeId;
  /** What it fetches, as it tells it. */
  readonly span: LayerSpan;
  wants(block: Pick<Block, "group">): boolean;
}

const aliveAdverts = ({ others }: DaemonState): readonly Advert[] =>
  [...others.values()].flatMap(({ advert, state }) => (state === "alive" ? [advert] : []));

export const partOf = ({ held }: Pick<Advert, "held">, contentId: ContentId): HeldPart | undefined =>
  held.find((part) => part.contentId === contentId);

/** Alive members that have, or are about to have, any of what is wanted of a model: the whole ones first. */
export function holdersOf(state: DaemonState, contentId: ContentId, wish: ShardWish): readonly NodeId[] {
  const adverts = aliveAdverts(state);
  const whole = adverts.filter((advert) => hasWhole(advert, contentId));
  const parts = adverts.filter((advert) => {
    const part = partOf(advert, contentId);
    if (part === undefined || whole.includes(advert)) return false;
    return (
      covers(part.layers, wish) ||
      (part.hasHead && wish.isHead) ||
      (part.fetching !== null && (covers(part.fetching.layers, wish) || (part.fetching.hasHead && wish.isHead))) ||
      // Some of several layers, none of them whole.
      part.diskBytes > 0
    );
  });
  return [...whole, ...parts].map(({ node }) => node);
}

function covers(layers: string, { firstLayer, lastLayer }: ShardWish): boolean {
  for (const layer of parseLayers(layers) ?? []) if (layer >= firstLayer && layer <= lastLayer) return true;
  return false;
}

/** Alive members that fetch of a model what they do not have. */
export function fetchersOf(state: DaemonState, contentId: ContentId): readonly Fetcher[] {
  return aliveAdverts(state).flatMap((advert) => {
    const span = partOf(advert, contentId)?.fetching ?? null;
    if (span === null) return [];
    const layers = parseLayers(span.layers) ?? new Set<number>();
    return [
      {
        node: advert.node,
        span,
        // The few blocks of no layer go with every part.
        wants: ({ group }) => (group === "head" ? span.hasHead : group === null || layers.has(group)),
      },
    ];
  });
}

/** Whether a member that fetched is done, and has what it fetched. */
export function hasFetched({ others }: DaemonState, contentId: ContentId, { node, span }: Fetcher): boolean {
  const member = others.get(node);
  if (member?.state !== "alive") return false;
  if (hasWhole(member.advert, contentId)) return true;
  const part = partOf(member.advert, contentId);
  const there = parseLayers(part?.layers ?? "");
  const layers = parseLayers(span.layers);
  if (part === undefined || part.fetching !== null || there === null || layers === null) return false;
  return (part.hasHead || !span.hasHead) && [...layers].every((layer) => there.has(layer));
}

/** A model that members have, whole or in parts, by what a name means; this node's own parts count as well. Null: none, or it is not clear. */
export function modelAmongMembers(
  { own, others }: DaemonState,
  name: string,
): { readonly contentId: ContentId; readonly id: string } | null {
  const tells = [
    { models: own.models, held: own.held ?? [] },
    ...[...others.values()].flatMap(({ advert, state }) => (state === "alive" ? [advert] : [])),
  ];
  const all = tells.flatMap(({ models, held }) => [
    ...models,
    ...held.map(({ contentId, model }) => ({ contentId, id: model, aliases: [] })),
  ]);
  const found = modelsNamed(name, all);
  const [first] = found;
  return first === undefined || found.some(({ contentId }) => contentId !== first.contentId) ? null : first;
}
