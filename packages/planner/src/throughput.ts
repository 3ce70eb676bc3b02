import type { Field, Member } from "./field.ts";
import { headProblem, NO_WISHES, type Ends, type HeadProblem } from "./head-problem.ts";
import { likelyHeads, type Found } from "./heads.ts";
import { mostEven } from "./headroom.ts";
import { bestInOrder, orderBySpeed } from "./in-order.ts";
import { withOthers } from "./latency.ts";
import type { Path } from "./path.ts";
import { reachEnd, reachGreedily } from "./reach.ts";
import { NEAR_BEST, nothingFound, type Search } from "./search.ts";

/** Halvings of the slowest stage's time, before the values it can have are gone through. */
const HALVINGS = 12;
/** Halvings of what is not proven. */
const PROVING_HALVINGS = 4;
/** Heads looked at at most, the fastest first. */
const HEADS_MAX = 32;

/** A placement whose slowest stage is known. */
interface Balanced extends Found {
  readonly slowestMs: number;
}

/** The placement whose slowest stage is fastest: what many streams at once run into. */
export function planThroughput(field: Field, top: number): Search {
  let best: Balanced | null = null;
  let provenMs = Infinity;
  const heads = [...field.heads].sort(
    (a, b) => b.node.bandwidthBytesPerSecond - a.node.bandwidthBytesPerSecond || (a.node.name < b.node.name ? -1 : 1),
  );
  for (const head of heads.slice(0, HEADS_MAX)) {
    const found = fastestSlowest(field, head, best?.slowestMs ?? Infinity);
    provenMs = Math.min(provenMs, found.provenMs);
    best = found.balanced ?? best;
  }
  if (best === null) return nothingFound(field.effort.explored);
  const lowerBoundMs = Math.max(sharedMs(field), heads.length > HEADS_MAX ? 0 : Math.min(provenMs, best.slowestMs));
  const sure = lowerBoundMs >= best.slowestMs;
  const optimal = best.slowestMs <= lowerBoundMs * (1 + NEAR_BEST);
  const wishes = { ...NO_WISHES, stageMsMax: Math.max(best.slowestMs, lowerBoundMs * (1 + NEAR_BEST)) };
  const likely = likelyHeads(field, wishes);
  const even = mostEven(field, { heads: likely, wishes, belowMs: Infinity, fewestStages: false }, best);
  if (even === null) return nothingFound(field.effort.explored);
  const method =
    "bisection over the slowest stage's time, each value by the furthest layer that every set of machines reaches; the bound is of that stage's time";
  return withOthers(
    field,
    likely,
    even,
    top,
    {
      optimal,
      method: sure
        ? method
        : `${method}; given up after ${field.effort.explored} sets of machines, within ${((best.slowestMs / lowerBoundMs - 1) * 100).toFixed(1)} % of it`,
      lowerBoundMs,
      notes: [
        `The slowest stage takes ${Math.max(...even.stages.map((stage) => stage.computeMs + stage.hopMs)).toFixed(1)} ms per token.`,
      ],
    },
    wishes,
  );
}

interface Fastest {
  readonly balanced: Balanced | null;
  /** Certainly no slowest stage under this head takes less. */
  readonly provenMs: number;
}

/** The least slowest stage under one head, if it is less than that. */
function fastestSlowest(field: Field, head: Member, belowMs: number): Fastest {
  const ends: Ends = new Map();
  // Below 0 nothing was tried yet.
  let provenMs = -1;
  const within = (stageMsMax: number): Balanced | null => {
    const problem = headProblem(field, head, { ...NO_WISHES, stageMsMax }, ends);
    const path = bestInOrder(problem, orderBySpeed(problem)) ?? reachGreedily(problem);
    const reach = path === null ? reachEnd(field, problem) : { path, sure: true };
    if (reach.path !== null) return { problem, path: reach.path, slowestMs: slowest(problem, reach.path, field) };
    // The next time that any stage can take is the least that is still possible.
    if (reach.sure) provenMs = Math.max(provenMs, stageMsMax);
    return null;
  };
  const whole = headProblem(field, head, NO_WISHES, ends);
  const first = within(belowMs === Infinity ? Infinity : nextBelow(field, whole, belowMs));
  if (first === null) {
    const near = belowMs / (1 + NEAR_BEST);
    if (provenMs >= 0) return { balanced: null, provenMs: belowMs };
    const slightly = within(near);
    return { balanced: slightly, provenMs };
  }
  let best = first;
  let low = 0;
  for (let step = 0; step < HALVINGS; step++) {
    const middle = (low + best.slowestMs) / 2;
    const found = within(middle);
    if (found === null) low = middle;
    else best = found;
  }
  for (;;) {
    const next = nextBelow(field, whole, best.slowestMs);
    const found = next <= low ? null : within(next);
    if (found !== null) {
      best = found;
      continue;
    }
    // With all times below refuted, the time itself is proven.
    if (provenMs >= next) return { balanced: best, provenMs: best.slowestMs };
    // Where that could not be told for some, up to where it can.
    for (let step = 0; step < PROVING_HALVINGS; step++) within((Math.max(0, provenMs) + next) / 2);
    return { balanced: best, provenMs };
  }
}

function slowest(problem: HeadProblem, { headEnd, stages }: Path, field: Field): number {
  return stages.reduce(
    (most, { group, first, end }) => {
      const { fixedMs = 0, msPerByte = 0 } = problem.groups[group] ?? {};
      return Math.max(most, fixedMs + ((problem.read[end] ?? 0) - (problem.read[first] ?? 0)) * msPerByte);
    },
    headEnd === 0 || problem.head === null ? 0 : field.cost.computeMs(0, headEnd, problem.head.node),
  );
}

/** The largest time below another that any stage can take. */
function nextBelow(field: Field, problem: HeadProblem, ms: number): number {
  const { read, layerCount, startMs, groups, head } = problem;
  let most = 0;
  for (const { ends, fixedMs, msPerByte, lengthMin } of groups) {
    for (let first = 0; first < layerCount; first++) {
      let low = first + lengthMin - 1;
      let high = ends[first] ?? 0;
      const at = (end: number): number => fixedMs + ((read[end] ?? 0) - (read[first] ?? 0)) * msPerByte;
      while (low < high) {
        const middle = Math.ceil((low + high) / 2);
        if (at(middle) < ms) low = middle;
        else high = middle - 1;
      }
      if (low >= first + lengthMin && at(low) < ms) most = Math.max(most, at(low));
    }
  }
  if (head === null) return most;
  for (let end = 1; end <= layerCount; end++) {
    const own = Number.isFinite(startMs[end]) ? field.cost.computeMs(0, end, head.node) : 0;
    if (own < ms) most = Math.max(most, own);
  }
  return most;
}

/** No slowest stage is faster than all machines at once, each with as much as it reads in that time. */
function sharedMs({ members, read, layerCount, cost }: Field): number {
  const bytes = read[layerCount] ?? 0;
  const perMs = members.reduce((sum, { node }) => sum + node.bandwidthBytesPerSecond / 1000, 0);
  return cost.costs.stageOverheadMs + bytes / perMs;
}
