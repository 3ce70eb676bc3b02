import { ROUNDING } from "./effort.ts";
import type { Field } from "./field.ts";
import type { HeadProblem } from "./head-problem.ts";
import { isPlacement, pathMs, usageOf, type Path } from "./path.ts";
import { backFrom, type Relaxation } from "./relaxation.ts";

/** Bits in which the numbers of machines used are kept apart. */
const KEY_BITS = 30;
export interface LabelSearch {
  /** Faster than what was to be beaten; null where nothing is. */
  readonly path: Path | null;
  /** No placement is faster than this, or than the path. */
  readonly boundMs: number;
  /** Whether the search came to its end. */
  readonly complete: boolean;
}

/** An improvement on a path that uses machines too often. */
export type Repair = (stages: Path["stages"]) => Path | null;

/**
 * The fastest placement below `belowMs`, exactly: shortest paths over layers, each kept apart by how often the groups of a growing list
 * are used (decremental state-space relaxation: the list grows by what the shortest path uses too often), dropped where the relaxation's
 * bound on the rest says that they cannot be faster.
 */
export function searchLabels(
  field: Field,
  relaxation: Relaxation,
  belowMs: number,
  labelsMax: number,
  anyWill: boolean,
  repair: Repair,
): LabelSearch {
  const { problem } = relaxation;
  let best: Path | null = null;
  let boundMs = relaxation.boundMs;
  const tracked = problem.groups.flatMap((group, index) => (group.least > 0 ? [index] : []));
  let counted = false;
  const arcs = new Map<number, Arcs>();
  const arcsAt = (first: number): Arcs => {
    const known = arcs.get(first) ?? arcsFrom(relaxation, first, best?.ms ?? belowMs);
    arcs.set(first, known);
    return known;
  };
  let left = Math.min(labelsMax, field.effort.labels);
  for (;;) {
    const limit: number = best === null ? belowMs : best.ms;
    const keys = keysFor(problem, tracked, counted);
    const round: Round | null = keys === null ? null : walkLabels(relaxation, arcsAt, keys, limit, left);
    if (round === null) return { path: best, boundMs: Math.min(boundMs, limit), complete: false };
    left -= round.labels;
    field.effort.labels -= round.labels;
    field.effort.explored += round.labels;
    if (round.path === null) return { path: best, boundMs: limit, complete: true };
    boundMs = Math.max(boundMs, round.boundMs);
    const { stages, headEnd } = round.path;
    const usage = usageOf(problem, stages);
    let found: Path | null;
    const more: number[] = [];
    if (isPlacement(problem, stages)) {
      found = { headEnd, stages, ms: pathMs(problem, headEnd, stages) };
      if (found.ms * (1 - ROUNDING) <= round.boundMs)
        return { path: found.ms < limit ? found : best, boundMs: found.ms, complete: true };
      // Faster by what prices of unused machines gave back: these are to be told apart too.
      problem.groups.forEach((group, index) => {
        const price = relaxation.prices[index] ?? 0;
        if (price * (usage[index] ?? 0) < backFrom(price, group)) more.push(index);
      });
    } else {
      found = repair(stages);
      problem.groups.forEach((group, index) => {
        if ((usage[index] ?? 0) > group.most) more.push(index);
      });
    }
    if (found !== null && found.ms < limit) {
      best = found;
      if (anyWill) return { path: best, boundMs, complete: true };
    }
    const before = tracked.length;
    for (const index of more) if (!tracked.includes(index)) tracked.push(index);
    if (tracked.length === before) {
      // Nothing else is left that could make the difference.
      if (counted) return { path: best, boundMs, complete: false };
      counted = true;
    }
    if (stages.length > problem.remoteMax) counted = true;
  }
}

/** Where in a key each tracked group's number is. */
interface Keys {
  readonly tracked: readonly number[];
  readonly shift: Int32Array;
  readonly mask: Int32Array;
  readonly countShift: number;
}

function keysFor(problem: HeadProblem, tracked: readonly number[], counted: boolean): Keys | null {
  const shift = new Int32Array(problem.groups.length).fill(-1);
  const mask = new Int32Array(problem.groups.length);
  let bits = 0;
  for (const index of tracked) {
    const width = 32 - Math.clz32(problem.groups[index]?.most ?? 0);
    shift[index] = bits;
    mask[index] = (1 << width) - 1;
    bits += width;
  }
  const countShift = counted ? bits : -1;
  if (counted) bits += 32 - Math.clz32(problem.remoteMax);
  return bits > KEY_BITS ? null : { tracked, shift, mask, countShift };
}

/** Stages that may be part of something faster than the limit, from one layer. */
interface Arcs {
  readonly groups: Int32Array;
  readonly ends: Int32Array;
  readonly ms: Float64Array;
  /** Time with all that comes after at least. */
  readonly boundMs: Float64Array;
}

function arcsFrom({ problem, prices, stagePrice, givenBack, before, after }: Relaxation, first: number, limit: number): Arcs {
  const { groups, read, layerCount } = problem;
  const room = limit - (before[first] ?? Infinity) + givenBack;
  const found: number[] = [];
  const bounds: number[] = [];
  for (const [index, { ends, lengthMin, fixedMs, msPerByte }] of groups.entries()) {
    const last = ends[first] ?? 0;
    const base = fixedMs + (prices[index] ?? 0) + stagePrice - (read[first] ?? 0) * msPerByte;
    for (let end = first + lengthMin; end <= last; end++) {
      const boundMs = base + (read[end] ?? 0) * msPerByte + (after[end] ?? Infinity);
      if (boundMs >= room) continue;
      found.push(index * (layerCount + 1) + end);
      bounds.push(boundMs);
    }
  }
  const ends = Int32Array.from(found, (arc) => arc % (layerCount + 1));
  const boundMs = Float64Array.from(bounds);
  return {
    groups: Int32Array.from(found, (arc) => Math.floor(arc / (layerCount + 1))),
    ends,
    ms: boundMs.map((ms, arc) => ms - (after[ends[arc] ?? 0] ?? 0)),
    boundMs,
  };
}

interface Round {
  /** The shortest, tracked groups used as often as they may be; null where none is below the limit. */
  readonly path: { readonly headEnd: number; readonly stages: Path["stages"] } | null;
  readonly boundMs: number;
  readonly labels: number;
}

/** One walk over the layers. Null where it takes more labels than are left. */
function walkLabels(
  relaxation: Relaxation,
  arcsAt: (first: number) => Arcs,
  keys: Keys,
  limitMs: number,
  labelsMax: number,
): Round | null {
  const { problem, prices, givenBack, after } = relaxation;
  const { layerCount, groups } = problem;
  const limit = limitMs * (1 - ROUNDING);
  const most = Int32Array.from(groups, (group) => group.most);
  const at: Map<number, number>[] = Array.from({ length: layerCount + 1 }, () => new Map<number, number>());
  const costs: number[] = [];
  const parents: number[] = [];
  const vias: number[] = [];
  const ends: number[] = [];
  const put = (key: number, end: number, ms: number, parent: number, via: number): void => {
    const map = at[end];
    const known = map?.get(key);
    if (known === undefined) {
      map?.set(key, costs.length);
      costs.push(ms);
      parents.push(parent);
      vias.push(via);
      ends.push(end);
    } else if (ms < (costs[known] ?? 0)) {
      costs[known] = ms;
      parents[known] = parent;
      vias[known] = via;
    }
  };
  problem.startMs.forEach((ms, end) => {
    if (ms + (after[end] ?? Infinity) - givenBack < limit) put(0, end, ms, -1, -1);
  });
  for (let first = 0; first < layerCount; first++) {
    const here = at[first];
    if (here === undefined || here.size === 0) continue;
    const arcs = arcsAt(first);
    const arcCount = arcs.ms.length;
    for (const [key, label] of here) {
      if (costs.length > labelsMax) return null;
      const cost = costs[label] ?? 0;
      if (keys.countShift >= 0 && key >> keys.countShift >= problem.remoteMax) continue;
      const room = limit + givenBack - cost;
      for (let arc = 0; arc < arcCount; arc++) {
        if ((arcs.boundMs[arc] ?? 0) >= room) continue;
        const group = arcs.groups[arc] ?? 0;
        let next = key;
        const shift = keys.shift[group] ?? -1;
        if (shift >= 0) {
          if (((key >> shift) & (keys.mask[group] ?? 0)) >= (most[group] ?? 0)) continue;
          next += 1 << shift;
        }
        if (keys.countShift >= 0) next += 1 << keys.countShift;
        put(next, arcs.ends[arc] ?? 0, cost + (arcs.ms[arc] ?? 0), label, group);
      }
    }
  }
  // What is tracked is paid for as often as it was used; the rest as the relaxation does.
  const untracked = groups.reduce(
    (sum, group, index) => sum + ((keys.shift[index] ?? -1) < 0 ? backFrom(prices[index] ?? 0, group) : 0),
    0,
  );
  let bestMs = limit;
  let best = -1;
  for (const [key, label] of at[layerCount] ?? []) {
    let ms = (costs[label] ?? 0) - untracked;
    let allowed = true;
    for (const group of keys.tracked) {
      const used = (key >> (keys.shift[group] ?? 0)) & (keys.mask[group] ?? 0);
      ms -= used * (prices[group] ?? 0);
      if (used < (groups[group]?.least ?? 0)) allowed = false;
    }
    ms -= relaxation.stagePrice * (keys.countShift >= 0 ? key >> keys.countShift : problem.remoteMax);
    if (!allowed || ms >= bestMs) continue;
    bestMs = ms;
    best = label;
  }
  if (best < 0) return { path: null, boundMs: limitMs, labels: costs.length };
  const stages: { group: number; first: number; end: number }[] = [];
  let label = best;
  while ((parents[label] ?? -1) >= 0) {
    const parent = parents[label] ?? 0;
    stages.unshift({ group: vias[label] ?? 0, first: ends[parent] ?? 0, end: ends[label] ?? 0 });
    label = parent;
  }
  return { path: { headEnd: ends[label] ?? 0, stages }, boundMs: bestMs, labels: costs.length };
}
