import type { WorkSpan } from "../../packages/engine/src/rpc/stage-meter.ts";

/** Of some stages' work, in milliseconds. */
export interface Overlap {
  /** All stages' work, one after the other. */
  readonly workMs: number;
  /** Time in which at least one was at work. */
  readonly unionMs: number;
  /** Time in which two or more were at work. */
  readonly severalMs: number;
}

/** Sweeps over the beginnings and ends of all spans. */
export function overlapOf(stages: readonly (readonly Pick<WorkSpan, "beginMs" | "endMs">[])[]): Overlap {
  const spans = stages.flat();
  const edges = spans
    .flatMap(({ beginMs, endMs }) => [
      { atMs: beginMs, by: 1 },
      { atMs: endMs, by: -1 },
    ])
    .toSorted((a, b) => a.atMs - b.atMs || a.by - b.by);
  let [open, unionMs, severalMs, lastMs] = [0, 0, 0, 0];
  for (const { atMs, by } of edges) {
    if (open >= 1) unionMs += atMs - lastMs;
    if (open >= 2) severalMs += atMs - lastMs;
    open += by;
    lastMs = atMs;
  }
  return { workMs: spans.reduce((sum, { beginMs, endMs }) => sum + endMs - beginMs, 0), unionMs, severalMs };
}

/**
 * The last stage's result is asked for once, after the last ubatch, so its meter sees one long span. Of equal stages each takes about as
 * long for a ubatch as the one before it, and begins as soon as it has its input and is done with the last: so it is cut up.
 */
export function cutLastStage(stages: readonly (readonly WorkSpan[])[]): readonly (readonly WorkSpan[])[] {
  const [before, last] = [stages.at(-2), stages.at(-1)];
  if (before === undefined || last === undefined || last.length >= before.length) return stages;
  let doneMs = 0;
  const cut = before.map(({ beginMs, endMs, tokens }) => {
    const startMs = Math.max(doneMs, endMs);
    doneMs = startMs + endMs - beginMs;
    return { beginMs: startMs, endMs: doneMs, tokens };
  });
  return [...stages.slice(0, -1), cut];
}
