/** One placement, foretold and run. Tokens per second. */
export interface Outcome {
  /** What the bandwidths came from. */
  readonly when: "probed" | "calibrated";
  readonly model: string;
  readonly placement: string;
  readonly predicted: number;
  readonly low: number;
  readonly high: number;
  readonly measured: number;
}

/** A table of all outcomes, and under it the middle of the errors of either kind. */
export function outcomeLines(outcomes: readonly Outcome[], median: (values: readonly number[]) => number): string[] {
  const errorOf = ({ predicted, measured }: Outcome): number => predicted / measured - 1;
  const rows = outcomes.map((outcome) => {
    const { when, model, placement, predicted, low, high, measured } = outcome;
    const inside = measured >= low && measured <= high ? "yes" : "no";
    const error = `${errorOf(outcome) >= 0 ? "+" : "−"}${(Math.abs(errorOf(outcome)) * 100).toFixed(1)} %`;
    const range = `${low.toFixed(2)}–${high.toFixed(2)}`;
    return `| ${[when, model, placement, predicted.toFixed(2), range, measured.toFixed(2), error, inside].join(" | ")} |`;
  });
  const summary = (["probed", "calibrated"] as const).flatMap((when) => {
    const own = outcomes.filter((outcome) => outcome.when === when);
    if (own.length === 0) return [];
    const errors = own.map((outcome) => Math.abs(errorOf(outcome)) * 100);
    const inside = own.filter(({ measured, low, high }) => measured >= low && measured <= high).length;
    return [
      `${when}: ${own.length} placements, error of the prediction ${median(errors).toFixed(1)} % in the middle, ` +
        `${Math.max(...errors).toFixed(1)} % at most; ${inside} within the predicted range.`,
    ];
  });
  return [
    "| bandwidths | model | placement | predicted | range | measured | error | in range |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ...rows,
    "",
    ...summary,
  ];
}
