/** How far a search goes before it is content with what it has. Counts: the planner has no clock. */
export interface Effort {
  /** Steps towards good prices, for all heads together and for each. */
  readonly steps: number;
  /** Partial placements looked at under one head. */
  readonly labels: number;
  /** Heads looked at one by one, those that may be fastest first. */
  readonly heads: number;
}

/** For the placement itself. */
export const THOROUGH: Effort = { steps: 40, labels: 4_000, heads: 64 };
/** For what is told beside it, and for what is more even. */
export const BRIEF: Effort = { steps: 8, labels: 300, heads: 4 };
/** For what is told beside it in large inventories: the best that is found soon, which may be a little slower than the best there is. */
export const CURSORY: Effort = { steps: 6, labels: 100, heads: 1 };
/** Heads that what is told beside a placement is looked for under: those that may be fastest. */
export const LIKELY_HEADS_MAX = 24;
/** Partial placements that one plan looks at altogether; then it says how far from proven it is. */
export const LABELS_MAX = 16_000;
