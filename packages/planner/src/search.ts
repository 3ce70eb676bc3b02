import type { Priced } from "./layout.ts";

/** Placements within this share of the best count as equally good. */
export const NEAR_BEST = 0.02;

/** What an unused machine would have done. */
export interface Unused {
  readonly why: string;
  /** The best when it must take at least one layer; null where that cannot be, or was not looked into (the reason says so). */
  readonly msPerTokenIfUsed: number | null;
}

/** What a search found, and how sure it is. */
export interface Search {
  readonly best: Priced | null;
  /** The best with another head or other machines. */
  readonly runnerUp: Priced | null;
  /** The best of those, as many as were asked for, the runner-up first. */
  readonly alternatives: readonly Priced[];
  readonly unused: ReadonlyMap<string, Unused>;
  readonly optimal: boolean;
  readonly method: string;
  readonly lowerBoundMs: number;
  readonly explored: number;
  readonly notes: readonly string[];
}

/** `sure`: there certainly is none; otherwise the search was given up. */
export function nothingFound(explored: number, sure = true): Search {
  return {
    best: null,
    runnerUp: null,
    alternatives: [],
    unused: new Map(),
    optimal: sure,
    method: "",
    lowerBoundMs: 0,
    explored,
    notes: [],
  };
}
