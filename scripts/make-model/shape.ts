/** Every number a shape has: the flag it is given by is its name in kebab case. */
export const SHAPE_NUMBERS = {
  layers: "decoder layers",
  nextTokenLayers: "further layers that predict later tokens (deepseek2 only)",
  width: "hidden width (embedding length)",
  heads: "query heads",
  kvHeads: "key/value heads",
  headWidth: "width of one head",
  ropeWidth: "of a head's width, what is rotated by position",
  feedForward: "width of a dense feed-forward block",
  vocab: "tokens; the demo model's tokenizer, padded",
  context: "tokens of context the file claims to be made for",
  experts: "experts of a layer",
  expertsUsed: "of them, those a token is routed to",
  expertFeedForward: "width of one expert",
  sharedExperts: "experts that every token uses",
  sharedFeedForward: "width of the shared expert, where it is not a multiple of an expert's",
  denseLead: "first layers without experts",
  window: "tokens of a sliding window",
  windowPattern: "of so many layers the last one sees the whole context (0: as the architecture has it)",
  queryRank: "latent width of queries (0: none)",
  kvRank: "latent width of keys and values",
  noPositionWidth: "of a query head's width, what is not rotated",
  valueWidth: "width of a value head",
  attentionEvery: "of so many layers the last one has attention, the others recurrent state",
  convWidth: "tokens a convolution sees",
  innerWidth: "width inside a recurrent layer",
  stateWidth: "width of a recurrent state",
  stateHeads: "heads of a recurrent layer",
  stateGroups: "groups of a recurrent layer that share keys",
} as const;

export type ShapeNumber = keyof typeof SHAPE_NUMBERS;

/** A model's shape: all an architecture needs to name its tensors and their sizes. Widths in elements; 0 where there is none. */
export interface Shape extends Readonly<Record<ShapeNumber, number>> {
  /** Whether the output matrix is the embedding. */
  readonly tied: boolean;
}

export type PartialShape = Partial<Shape>;

/** A flag's name from a shape's key. */
export const flagOf = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

const FEED_FORWARD_STEP = 256;
const HEAD_WIDTH = 64;

/** Fills in what was not given: first by what the architecture is like, then by what is usual for the width. */
export function completeShape(
  given: PartialShape,
  typical: (given: PartialShape & { readonly width: number }) => PartialShape,
): Shape {
  const width = given.width ?? 1024;
  const known: PartialShape = { ...typical({ ...given, width }), ...given };
  const headWidth = known.headWidth ?? HEAD_WIDTH;
  const heads = known.heads ?? Math.max(2, Math.floor(width / headWidth));
  const expertFeedForward = known.expertFeedForward ?? Math.max(32, Math.ceil(width / 2 / 32) * 32);
  const none = Object.fromEntries(Object.keys(SHAPE_NUMBERS).map((key) => [key, 0])) as Record<ShapeNumber, number>;
  return {
    ...none,
    tied: false,
    layers: 24,
    kvHeads: Math.max(1, Math.floor(heads / 2)),
    ropeWidth: headWidth,
    feedForward: Math.ceil((width * 8) / 3 / FEED_FORWARD_STEP) * FEED_FORWARD_STEP,
    vocab: 0,
    context: 16_384,
    ...known,
    width,
    heads,
    headWidth,
    expertFeedForward,
  };
}
