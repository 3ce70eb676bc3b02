import { formatBytes } from "@clusterd/device";
import { toFetch } from "@clusterd/planner";
import { placeOf, type LinkTable, type ModelProfile, type NodeId, type Placement } from "@clusterd/wire";
import type { ModelPlaces } from "./model-places.ts";

/** Notes of one plan on fetching at most; the rest is summed up. */
const NOTES_MAX = 12;

/** What a node of a placement has to fetch, and from whom. */
export interface StageFetch {
  /** As people see them; several: any of them. */
  readonly node: string;
  readonly bytes: number;
  readonly from: readonly string[];
  /** At the measured links, all nodes that fetch from the same one together; null: from outside, or not measured. */
  readonly seconds: number | null;
}

export interface FetchesOptions {
  readonly profile: ModelProfile;
  /** Nodes by the names people see. */
  readonly placement: Pick<Placement, "head" | "stages">;
  readonly places: ModelPlaces;
  readonly names: ReadonlyMap<NodeId, string>;
  readonly links: LinkTable;
  /** Of the hub that what no member has comes from; null: none is asked. */
  readonly hub: string | null;
}

/** What each node of a placement fetches before it can load. */
export function fetchesFor({ profile, placement, places, names, links, hub }: FetchesOptions): readonly StageFetch[] {
  const ids = new Map([...names].map(([id, name]) => [name, placeOf(id).node]));
  const hosts = new Map<string, { readonly layers: number[]; isHead: boolean }>();
  const hostOf = (place: string): string => names.get(ids.get(place) ?? (place as NodeId)) ?? place;
  const at = (place: string): { readonly layers: number[]; isHead: boolean } => {
    const host = hostOf(place);
    const known = hosts.get(host) ?? { layers: [], isHead: false };
    hosts.set(host, known);
    return known;
  };
  at(placement.head).isHead = true;
  for (const { node, firstLayer, lastLayer } of placement.stages)
    for (let layer = firstLayer; layer <= lastLayer; layer++) at(node).layers.push(layer);
  const fetches = [...hosts].map(([node, { layers, isHead }]) => {
    const id = ids.get(node) ?? (node as NodeId);
    const held = places.heldBy(id);
    const lacks = toFetch(profile, held);
    const bytes =
      layers.reduce((sum, layer) => sum + lacks({ firstLayer: layer, lastLayer: layer, isHead: false }), 0) +
      lacks({ firstLayer: 0, lastLayer: -1, isHead });
    const wanted = layers.filter((layer) => !held.layers.includes(layer));
    const from = [...names].flatMap(([other, name]) => {
      if (placeOf(other).device > 0 || other === id) return [];
      const has = places.heldBy(other);
      return wanted.some((layer) => has.layers.includes(layer)) || (isHead && !held.head && has.head) ? [name] : [];
    });
    return { node, bytes, from: from.length === 0 && hub !== null ? [hub] : from };
  });
  const fetching = fetches.filter(({ bytes }) => bytes > 0);
  return fetching.map((fetch) => ({ ...fetch, seconds: secondsFor(fetch, fetching, links) }));
}

/** The link it comes over, shared with the others that fetch from the same node: whichever takes longer. */
function secondsFor(
  fetch: Omit<StageFetch, "seconds">,
  all: readonly Omit<StageFetch, "seconds">[],
  { pairs }: LinkTable,
): number | null {
  const rates = fetch.from.map((from) => {
    const pair = pairs.find(({ a, b }) => (a === from && b === fetch.node) || (b === from && a === fetch.node));
    return pair === undefined || pair.bytesPerSecond <= 0 ? null : pair.bytesPerSecond;
  });
  const known = rates.filter((rate) => rate !== null);
  if (known.length === 0 || known.length < rates.length) return null;
  const shared = all
    .filter(({ from }) => from.some((one) => fetch.from.includes(one)))
    .reduce((sum, { bytes }) => sum + bytes, 0);
  const together = known.reduce((sum, rate) => sum + rate, 0);
  return Math.max(fetch.bytes / Math.max(...known), shared / together);
}

/** The same as sentences: `pi fetches 2.1 GB from mini-1, about 3 min at the measured link.` */
export function fetchNotes(fetches: readonly StageFetch[]): readonly string[] {
  const notes = fetches.slice(0, NOTES_MAX).map(({ node, bytes, from, seconds }) => {
    const whom = from.length === 0 ? "" : ` from ${from.length > 3 ? `${from.length} nodes` : from.join(" and ")}`;
    const links = from.length === 1 ? "link" : "links";
    return `${node} fetches ${formatBytes(bytes)}${whom}${seconds === null ? "" : `, about ${durationOf(seconds)} at the measured ${links}`}.`;
  });
  const rest = fetches.slice(NOTES_MAX);
  if (rest.length === 0) return notes;
  return [...notes, `${rest.length} further nodes fetch ${formatBytes(rest.reduce((sum, { bytes }) => sum + bytes, 0))}.`];
}

function durationOf(seconds: number): string {
  if (seconds < 1) return "a second";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
