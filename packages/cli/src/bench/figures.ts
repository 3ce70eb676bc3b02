/** What several rounds gave: the middle one, and how far the others are from it. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  readonly rounds: number;
}

/** Null where there is nothing to tell of. */
export function spreadOf(values: readonly number[]): Spread | null {
  const sorted = values.filter(Number.isFinite).toSorted((a, b) => a - b);
  const { length } = sorted;
  const [low, high] = [sorted[0], sorted.at(-1)];
  const [below, above] = [sorted[Math.floor((length - 1) / 2)], sorted[Math.ceil((length - 1) / 2)]];
  if (low === undefined || high === undefined || below === undefined || above === undefined) return null;
  return { median: (below + above) / 2, low, high, rounds: length };
}

/** One figure of a round, and whether others were served meanwhile. */
export interface Sample {
  readonly value: number;
  readonly disturbed: boolean;
}

/** Of what was undisturbed where there is any of it: otherwise of all. */
export function undisturbed(samples: readonly Sample[]): Spread | null {
  const quiet = samples.filter(({ disturbed }) => !disturbed);
  return spreadOf((quiet.length > 0 ? quiet : samples).map(({ value }) => value));
}
