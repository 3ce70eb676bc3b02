import type { Field } from "./field.ts";
import type { HeadProblem } from "./head-problem.ts";
import { pathMs, type Path } from "./path.ts";

/** Groups told apart at most, those that hold most first: what can be kept apart in the bits of a number. */
const KEY_BITS = 30;
/** Sets of machines looked at by one search at most. */
const SETS_MAX = 60_000;

export interface Reach {
  /** A placement of all layers, of whatever speed; null where none was found. */
  readonly path: Path | null;
  /** Whether it is certain that there is none. */
  readonly sure: boolean;
}

/**
 * Whether all layers can be placed at all. Who reaches further with the same machines has nothing to lose, so of each set of them only the
 * furthest layer counts, and every stage is as long as it can be. Wishes for who must take part are not looked at.
 */
export function reachEnd(field: Field, problem: HeadProblem): Reach {
  const { layerCount, groups, startMs } = problem;
  let start = layerCount;
  while (start >= 0 && !Number.isFinite(startMs[start])) start--;
  if (start < 0) return { path: null, sure: true };
  const items = groups
    .map((group, index) => ({ group, index, widest: widest(group.ends) }))
    .filter(({ widest: length }) => length > 0)
    .sort((a, b) => b.widest - a.widest || a.index - b.index);
  /** Layers that so many stages besides those used may hold at most. */
  const most = (used: (item: number) => number, stages: number): number => {
    let room = problem.remoteMax - stages;
    let sum = 0;
    for (let item = 0; item < items.length && room > 0; item++) {
      const free = Math.min(room, (items[item]?.group.most ?? 0) - used(item));
      sum += free * (items[item]?.widest ?? 0);
      room -= free;
    }
    return sum;
  };
  if (start + most(() => 0, 0) < layerCount) return { path: null, sure: true };
  const widths = items.map(({ group }) => 32 - Math.clz32(group.most));
  let kept = 0;
  let bits = 0;
  const shifts: number[] = [];
  while (kept < items.length && bits + (widths[kept] ?? 0) <= KEY_BITS) {
    shifts.push(bits);
    bits += widths[kept] ?? 0;
    kept++;
  }
  const usedOf = (key: number, item: number): number =>
    item >= kept ? 0 : (key >> (shifts[item] ?? 0)) & ((1 << (widths[item] ?? 0)) - 1);
  interface At {
    readonly end: number;
    readonly item: number;
    readonly from: At | null;
  }
  const found = (last: At): Reach => {
    const stages: { group: number; first: number; end: number }[] = [];
    for (let at = last; at.from !== null; at = at.from)
      stages.unshift({ group: items[at.item]?.index ?? 0, first: at.from.end, end: at.end });
    return { path: { headEnd: start, stages, ms: pathMs(problem, start, stages) }, sure: true };
  };
  let front = new Map<number, At>([[0, { end: start, item: -1, from: null }]]);
  let sets = 0;
  for (let stages = 0; stages <= problem.remoteMax; stages++) {
    const next = new Map<number, At>();
    // The furthest first, so that what can be placed is placed soon.
    for (const [key, at] of [...front].sort((a, b) => b[1].end - a[1].end || a[0] - b[0])) {
      if (at.end === layerCount) return found(at);
      if (stages === problem.remoteMax || at.end + most((item) => usedOf(key, item), stages) < layerCount) continue;
      for (let item = 0; item < kept; item++) {
        const { group } = items[item] ?? {};
        if (group === undefined || usedOf(key, item) >= group.most) continue;
        const end = group.ends[at.end] ?? 0;
        if (end < at.end + group.lengthMin) continue;
        const to = key + (1 << (shifts[item] ?? 0));
        const known = next.get(to);
        if (known === undefined || known.end < end) next.set(to, { end, item, from: at });
        if (end === layerCount) return found({ end, item, from: at });
        field.effort.explored++;
        if (++sets > SETS_MAX) return { path: null, sure: false };
      }
    }
    if (next.size === 0) return { path: null, sure: kept === items.length };
    front = next;
  }
  return { path: null, sure: kept === items.length };
}

function widest(ends: Int32Array): number {
  return ends.reduce((most, end, first) => Math.max(most, end - first), 0);
}

/** A placement that takes, again and again, the machine that reaches furthest; or null. */
export function reachGreedily(problem: HeadProblem): Path | null {
  const { layerCount, groups, startMs } = problem;
  let end = layerCount;
  while (end >= 0 && !Number.isFinite(startMs[end])) end--;
  if (end < 0) return null;
  const headEnd = end;
  const left = groups.map((group) => group.most);
  const stages: { group: number; first: number; end: number }[] = [];
  while (end < layerCount && stages.length < problem.remoteMax) {
    let best = -1;
    groups.forEach((group, index) => {
      if ((left[index] ?? 0) > 0 && (group.ends[end] ?? 0) > Math.max(end, best < 0 ? 0 : (groups[best]?.ends[end] ?? 0)))
        best = index;
    });
    const group = groups[best];
    if (group === undefined) return null;
    left[best] = (left[best] ?? 0) - 1;
    stages.push({ group: best, first: end, end: group.ends[end] ?? 0 });
    end = group.ends[end] ?? 0;
  }
  return end < layerCount || groups.some((group) => group.least > 0)
    ? null
    : { headEnd, stages, ms: pathMs(problem, headEnd, stages) };
}
