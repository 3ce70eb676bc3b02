import { amount, flag, nullable, record, text, type Check } from "./check.ts";
import { ClusterdError } from "./errors.ts";
import type { ContentId, ModelId } from "./ids.ts";
import { LAYERS_MAX } from "./limits.ts";

/** A model of which a node has parts, or is fetching some. Whole files are among an advert's `models`. */
export interface HeldPart {
  readonly contentId: ContentId;
  readonly model: ModelId;
  /** Layers of which it has everything, as {@link layersText} writes them. */
  readonly layers: string;
  /** Whether it has the embeddings and the output. */
  readonly hasHead: boolean;
  /** What it takes on the disk. */
  readonly diskBytes: number;
  /** What it is fetching at the moment, what it has of that included; null: nothing. */
  readonly fetching: LayerSpan | null;
}

/** Some of a model's layers, with or without what lies on the head. */
export interface LayerSpan {
  readonly layers: string;
  readonly hasHead: boolean;
}

/** Every other layer of the largest model. */
const LAYERS_LENGTH_MAX = (LAYERS_MAX / 2) * 5;
const RANGES = /^(?:\d{1,4}(?:-\d{1,4})?(?:,\d{1,4}(?:-\d{1,4})?)*)?$/u;

/** Layers as text: `0-9,12`; empty for none. */
export function layersText(layers: Iterable<number>): string {
  const ranges: [number, number][] = [];
  for (const layer of [...new Set(layers)].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === layer - 1) last[1] = layer;
    else ranges.push([layer, layer]);
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(",");
}

/** The layers in such a text; null where it is none: out of order, twice, or beyond what a model may have. */
export function parseLayers(value: string): ReadonlySet<number> | null {
  if (value.length > LAYERS_LENGTH_MAX || !RANGES.test(value)) return null;
  const layers = new Set<number>();
  let before = -1;
  for (const range of value === "" ? [] : value.split(",")) {
    const [first = Number.NaN, last = first] = range.split("-").map(Number);
    if (first <= before || last < first || last >= LAYERS_MAX) return null;
    for (let layer = first; layer <= last; layer++) layers.add(layer);
    before = last;
  }
  return layers;
}

const layers: Check<string> = (value, path) => {
  const given = text(LAYERS_LENGTH_MAX)(value, path);
  if (parseLayers(given) === null)
    throw new ClusterdError("invalid_request", `${path} must be layers as in 0-9,12.`, { param: path });
  return given;
};

/** As it comes in an advert. */
export const heldPart: Check<HeldPart> = record({
  contentId: text<ContentId>(128),
  model: text<ModelId>(256),
  layers,
  hasHead: flag,
  diskBytes: amount,
  fetching: nullable(record({ layers, hasHead: flag })),
});
