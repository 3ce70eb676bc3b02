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
export const THOROUGH: Effort = { steps: 60, labels: 6_000, heads: 64 };
/** For what is told beside it, and for what is more even. */
export const BRIEF: Effort = { steps: 10, labels: 400, heads: 4 };
/** Partial placements that one plan looks at altogether; then it says how far from proven it is. */
export const LABELS_MAX = 30_000;
