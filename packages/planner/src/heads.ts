import { besideEffort, LIKELY_HEADS_MAX, proofSlack, ROUNDING, type Effort } from "./effort.ts";
import type { Field, Member } from "./field.ts";
import { headProblem, relaxedHeads, startsOf, type Ends, type HeadProblem, type Wishes } from "./head-problem.ts";
import { bestInOrder, orderBySpeed } from "./in-order.ts";
import type { Path } from "./path.ts";
import { relax } from "./relaxation.ts";
import { solve } from "./solve.ts";

export interface Found {
  readonly problem: HeadProblem;
  readonly path: Path;
}

export interface OverHeads {
  /** The fastest placement (or the first found, where any will do) faster than what was to be beaten; null where none was found. */
  readonly found: Found | null;
  /** No placement is faster, or than what was found or to be beaten. */
  readonly boundMs: number;
  /** Whether the bound is that of what was found, or of what was to be beaten. */
  readonly complete: boolean;
}

/** Of heads that nothing tells apart, the first by name. */
function distinct(field: Field, heads: readonly Member[]): readonly Member[] {
  const kinds = new Set<number>();
  return heads.filter((head) => {
    if (head.pin !== null || !field.usuallyLinked(head)) return true;
    const known = kinds.has(head.kind);
    kinds.add(head.kind);
    return !known;
  });
}

/** Heads worth looking under for what is told beside a placement: all, or in a large inventory those that may be fastest. */
export function likelyHeads(field: Field, wishes: Wishes): readonly Member[] {
  const heads = distinct(field, field.heads);
  if (heads.length <= LIKELY_HEADS_MAX) return field.heads.length <= LIKELY_HEADS_MAX ? field.heads : heads;
  return rank(field, heads, wishes, new Map(), Infinity, besideEffort(field.members.length), false)
    .slice(0, LIKELY_HEADS_MAX)
    .map(({ head }) => head);
}

/** The fastest placement under any of these heads. */
export function bestOverHeads(
  field: Field,
  allHeads: readonly Member[],
  wishes: Wishes,
  belowMs: number,
  effort: Effort,
  anyWill = false,
): OverHeads {
  const heads = distinct(field, allHeads);
  const ends: Ends = new Map();
  let found: Found | null = null;
  let below = belowMs;
  let boundMs = Infinity;
  let complete = true;
  const open = 1 - proofSlack(field.members.length, field.cost.uniform);
  const offer = (problem: HeadProblem, path: Path | null): void => {
    if (path === null || path.ms >= below) return;
    found = { problem, path };
    below = path.ms;
  };
  const ranked =
    heads.length === 1 ? heads.map((head) => ({ head, ms: 0 })) : rank(field, heads, wishes, ends, below, effort, anyWill);
  for (const [index, { head, ms }] of ranked.entries()) {
    if (ms >= below * open) break;
    if (index >= effort.heads) {
      boundMs = Math.min(boundMs, ms);
      complete = false;
      break;
    }
    const problem = headProblem(field, head, wishes, ends);
    const solved = solve(field, problem, below, effort, anyWill);
    offer(problem, solved.path);
    if (anyWill && found !== null) return { found, boundMs: 0, complete: false };
    if (!solved.complete) {
      complete = false;
      boundMs = Math.min(boundMs, Math.max(ms, solved.boundMs));
    }
  }
  // What is left open is so for all heads alike; rounding is nobody's.
  const provenMs = open < 1 - ROUNDING ? below * open : below;
  return { found, boundMs: Math.min(boundMs, provenMs), complete: complete || boundMs >= provenMs };
}

/** Heads by a bound on what is possible under them, from one relaxation of them all; those under which nothing is possible left out. */
export function rank(
  field: Field,
  heads: readonly Member[],
  wishes: Wishes,
  ends: Ends,
  belowMs: number,
  effort: Effort,
  anyWill: boolean,
): readonly { readonly head: Member; readonly ms: number }[] {
  const starts = heads.map((head) => ({ head, starts: startsOf(field, head, wishes) }));
  const problem = relaxedHeads(field, heads, wishes, ends);
  const bounds = (goal: number, steps: number): { head: Member; ms: number }[] => {
    const { after, givenBack } = relax(field, problem, goal, steps);
    return starts
      .map(({ head, starts: own }) => {
        const ms = own.reduce((least, startMs, end) => Math.min(least, startMs + (after[end] ?? Infinity)), Infinity);
        return { head, ms: ms - givenBack };
      })
      .filter(({ ms }) => ms < Infinity)
      .sort((a, b) => a.ms - b.ms || (a.head.node.name < b.head.node.name ? -1 : 1));
  };
  if (anyWill) return bounds(belowMs, effort.steps);
  const [likely] = bounds(belowMs, 1);
  if (likely === undefined) return [];
  const first = headProblem(field, likely.head, wishes, ends);
  const goal = Math.min(belowMs, bestInOrder(first, orderBySpeed(first))?.ms ?? Infinity);
  return bounds(goal, effort.steps);
}
