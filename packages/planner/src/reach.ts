import type { Field } from "./field.ts";
import type { HeadProblem } from "./head-problem.ts";
import { pathMs, type Path } from "./path.ts";

/** Groups told apart at most, those that hold most first: what can be kept apart in the bits of a number. */
const KEY_BITS = 30;
/** Sets of equally many machines that are gone on with at most. */
const SETS_MAX = 300;

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
  if (start === layerCount) return { path: { headEnd: start, stages: [], ms: pathMs(problem, start, []) }, sure: true };
  const items = groups
    .map((group, index) => ({ group, index, widest: group.ends.reduce((most, end, first) => Math.max(most, end - first), 0) }))
    .filter(({ widest: length }) => length > 0)
    .sort((a, b) => b.widest - a.widest || a.index - b.index);
  /** Whether the machines left may hold what is left, each as many layers as it holds at most. */
  const possible = (end: number, used: (item: number) => number, stages: number): boolean => {
    let left = layerCount - end;
    let room = problem.remoteMax - stages;
    for (let item = 0; item < items.length && room > 0 && left > 0; item++) {
      const free = Math.min(room, (items[item]?.group.most ?? 0) - used(item));
      left -= free * (items[item]?.widest ?? 0);
      room -= free;
    }
    return left <= 0;
  };
  if (!possible(start, () => 0, 0)) return { path: null, sure: true };
  // Where layers are alike, that was exact: whoever is taken holds as much wherever it stands.
  if (problem.uniform) return { path: reachGreedily(problem), sure: true };
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
    /** Layers that its machines could hold more elsewhere. */
    readonly wasted: number;
    readonly item: number;
    readonly from: At | null;
  }
  const found = (last: At): Reach => {
    const stages: { group: number; first: number; end: number }[] = [];
    for (let at = last; at.from !== null; at = at.from)
      stages.unshift({ group: items[at.item]?.index ?? 0, first: at.from.end, end: at.end });
    return { path: { headEnd: start, stages, ms: pathMs(problem, start, stages) }, sure: true };
  };
  let front = new Map<number, At>([[0, { end: start, wasted: 0, item: -1, from: null }]]);
  let sure = kept === items.length;
  for (let stages = 0; stages < problem.remoteMax && front.size > 0; stages++) {
    const next = new Map<number, At>();
    // Who has left the least room of the machines used goes on first, and where they are many, alone.
    const sorted = [...front].sort((a, b) => a[1].wasted - b[1].wasted || b[1].end - a[1].end || a[0] - b[0]);
    if (sorted.length > SETS_MAX) sure = false;
    for (const [key, at] of sorted.slice(0, SETS_MAX)) {
      if (!possible(at.end, (item) => usedOf(key, item), stages)) continue;
      for (let item = 0; item < kept; item++) {
        const { group, widest = 0 } = items[item] ?? {};
        if (group === undefined || usedOf(key, item) >= group.most) continue;
        const end = group.ends[at.end] ?? 0;
        if (end < at.end + group.lengthMin) continue;
        field.effort.explored++;
        const reached = { end, wasted: at.wasted + widest - (end - at.end), item, from: at };
        if (end === layerCount) return found(reached);
        const to = key + (1 << (shifts[item] ?? 0));
        if ((next.get(to)?.end ?? -1) < end) next.set(to, reached);
      }
    }
    front = next;
  }
  return { path: null, sure };
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
