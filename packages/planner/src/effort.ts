/** Of the same figure, what sums in another order may differ by, as a share. */
export const ROUNDING = 1e-10;

/** How far a search goes before it is content with what it has. Counts: the planner has no clock. */
export interface Effort {
  /** Steps towards good prices, for all heads together and for each. */
  readonly steps: number;
  /** How often steps are begun anew where they end far from the goal. */
  readonly restarts: number;
  /** Partial placements looked at under one head. */
  readonly labels: number;
  /** Heads looked at one by one, those that may be fastest first. */
  readonly heads: number;
}

/** For the placement itself. */
export const THOROUGH: Effort = { steps: 60, restarts: 2, labels: 5_000, heads: 64 };
/** For what is told beside it, and for what is more even, among few machines. */
const BRIEF: Effort = { steps: 8, restarts: 0, labels: 300, heads: 4 };
/** The same in larger inventories: the best that is found soon, which may be a little slower than the best there is. */
const CURSORY: Effort = { steps: 6, restarts: 0, labels: 100, heads: 2 };
const BRIEF_MACHINES_MAX = 8;
/** How far searches beside the main one go among so many machines. */
export function besideEffort(machines: number): Effort {
  return machines <= BRIEF_MACHINES_MAX ? BRIEF : CURSORY;
}
/** How close to the optimum larger inventories of unequal layers are proven: well within the 2 % that count as equal. */
const PROOF_SLACK = 0.004;
/** What is left open of a proof, as a share: nothing for equal layers, and among few machines. */
export function proofSlack(machines: number, uniform: boolean): number {
  return uniform || machines <= BRIEF_MACHINES_MAX ? ROUNDING : PROOF_SLACK;
}
/** Heads that what is told beside a placement is looked for under: those that may be fastest. */
export const LIKELY_HEADS_MAX = 24;
/** Partial placements that one plan looks at altogether; then it says how far from proven it is. */
export const LABELS_MAX = 24_000;
