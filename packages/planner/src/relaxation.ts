import type { Field } from "./field.ts";
import type { HeadProblem } from "./head-problem.ts";
import { usageOf, type Path } from "./path.ts";

/** Steps that may pass without a better bound before they are made half as long, and the shortest that is tried. */
const PATIENCE = 5;
const STEP_MIN = 0.05;
/** Share of the way so far that a step keeps to, against going to and fro (Camerini, Fratta and Maffioli). */
const KEPT = 0.8;
/** Length of the first step, as a share of the way to the goal. */
const STEP_FIRST = 0.7;

/**
 * The placement problem without "each machine at most once": whoever is used costs a price instead, which everyone's number of machines
 * is given back for (Lagrange's relaxation). For any prices its shortest path is no longer than the best placement.
 */
export interface Relaxation {
  readonly problem: HeadProblem;
  /** By group; below 0 only where it must take part. */
  readonly prices: Float64Array;
  /** Of every remote stage, because their number is limited. */
  readonly stagePrice: number;
  /** What is given back: no usage that is allowed costs more than this in prices. */
  readonly givenBack: number;
  /** Least time, prices included, from the start to each layer and from each layer to the end. */
  readonly before: Float64Array;
  readonly after: Float64Array;
  /** No placement is faster. Milliseconds; infinite where there is none. */
  readonly boundMs: number;
}

/** What a group's price gives back at most. */
export function backFrom(price: number, group: { readonly least: number; readonly most: number }): number {
  return price >= 0 ? price * group.most : price * group.least;
}

function givenBack(problem: HeadProblem, prices: Float64Array, stagePrice: number): number {
  return problem.groups.reduce((sum, group, index) => sum + backFrom(prices[index] ?? 0, group), stagePrice * problem.remoteMax);
}

interface Walk {
  readonly before: Float64Array;
  readonly via: Int32Array;
  readonly from: Int32Array;
}

/** A problem's groups laid out for the walks, with room for their queues. */
interface Layout {
  readonly problem: HeadProblem;
  readonly ends: Int32Array;
  readonly lengthMin: Int32Array;
  readonly msPerByte: Float64Array;
  /** Cost of a stage besides reading, prices included. */
  readonly fixed: Float64Array;
  readonly queue: Int32Array;
  readonly times: Float64Array;
  readonly fronts: Int32Array;
  readonly backs: Int32Array;
}

function layOut(problem: HeadProblem): Layout {
  const { groups, layerCount } = problem;
  const width = layerCount + 1;
  const ends = new Int32Array(groups.length * width);
  groups.forEach((group, index) => ends.set(group.ends, index * width));
  return {
    problem,
    ends,
    lengthMin: Int32Array.from(groups, (group) => group.lengthMin),
    msPerByte: Float64Array.from(groups, (group) => group.msPerByte),
    fixed: new Float64Array(groups.length),
    queue: new Int32Array(groups.length * width),
    times: new Float64Array(groups.length * width),
    fronts: new Int32Array(groups.length),
    backs: new Int32Array(groups.length),
  };
}

function setPrices({ problem, fixed, fronts, backs }: Layout, prices: Float64Array, stagePrice: number): void {
  for (let index = 0; index < fixed.length; index++)
    fixed[index] = (problem.groups[index]?.fixedMs ?? 0) + (prices[index] ?? 0) + stagePrice;
  fronts.fill(0);
  backs.fill(0);
}

/** Shortest paths from the start: of the first layers from which a group reaches an end, a queue keeps the one with the least time (see `Window`). */
function forward(layout: Layout, prices: Float64Array, stagePrice: number): Walk {
  const { problem, ends, lengthMin, msPerByte, fixed, queue, times, fronts, backs } = layout;
  setPrices(layout, prices, stagePrice);
  const { layerCount, read } = problem;
  const width = layerCount + 1;
  const count = fixed.length;
  const before = Float64Array.from(problem.startMs);
  const via = new Int32Array(width).fill(-1);
  const from = new Int32Array(width);
  for (let end = 0; end <= layerCount; end++) {
    let best = before[end] ?? Infinity;
    const bytes = read[end] ?? 0;
    for (let index = 0; index < count; index++) {
      const at = index * width;
      let front = fronts[index] as number;
      const back = backs[index] as number;
      while (front < back && (ends[at + (queue[at + front] as number)] as number) < end) front++;
      fronts[index] = front;
      if (front === back) continue;
      const first = queue[at + front] as number;
      if (end - first < (lengthMin[index] as number)) continue;
      const ms = (times[at + front] as number) + (fixed[index] as number) + bytes * (msPerByte[index] as number);
      if (ms >= best) continue;
      best = ms;
      via[end] = index;
      from[end] = first;
    }
    before[end] = best;
    if (best === Infinity) continue;
    for (let index = 0; index < count; index++) {
      const at = index * width;
      if ((ends[at + end] as number) < end + (lengthMin[index] as number)) continue;
      const ms = best - bytes * (msPerByte[index] as number);
      const front = fronts[index] as number;
      let back = backs[index] as number;
      while (front < back && (times[at + back - 1] as number) >= ms) back--;
      queue[at + back] = end;
      times[at + back] = ms;
      backs[index] = back + 1;
    }
  }
  return { before, via, from };
}

/** Shortest paths to the end, in the same way from behind. */
function backward(layout: Layout, prices: Float64Array, stagePrice: number): Float64Array {
  const { problem, ends, lengthMin, msPerByte, fixed, queue, times, fronts, backs } = layout;
  setPrices(layout, prices, stagePrice);
  const { layerCount, read } = problem;
  const width = layerCount + 1;
  const after = new Float64Array(width).fill(Infinity);
  after[layerCount] = 0;
  for (let first = layerCount - 1; first >= 0; first--) {
    let best = Infinity;
    const next = first + 1;
    const afterNext = after[next] as number;
    for (let index = 0; index < fixed.length; index++) {
      const at = index * width;
      const rate = msPerByte[index] as number;
      const price = (fixed[index] as number) - (read[first] as number) * rate;
      const last = ends[at + first] as number;
      if ((lengthMin[index] as number) > 1) {
        if (last >= first + (lengthMin[index] as number))
          best = Math.min(best, price + (read[last] as number) * rate + (after[last] as number));
        continue;
      }
      let front = fronts[index] as number;
      let back = backs[index] as number;
      if (afterNext !== Infinity) {
        const ms = afterNext + (read[next] as number) * rate;
        while (back > front && (times[at + back - 1] as number) >= ms) back--;
        queue[at + back] = next;
        times[at + back++] = ms;
      }
      while (back > front && (queue[at + front] as number) > last) front++;
      fronts[index] = front;
      backs[index] = back;
      if (back > front) best = Math.min(best, price + (times[at + front] as number));
    }
    after[first] = best;
  }
  return after;
}

function stagesOf(problem: HeadProblem, { via, from }: Walk): { readonly headEnd: number; readonly stages: Path["stages"] } {
  const stages: { group: number; first: number; end: number }[] = [];
  let end = problem.layerCount;
  while ((via[end] ?? -1) >= 0) {
    const first = from[end] ?? 0;
    stages.unshift({ group: via[end] ?? 0, first, end });
    end = first;
  }
  return { headEnd: end, stages };
}

/**
 * Prices to start from: as if layers were alike and could be cut anywhere. The machines that hold a layer for the least time are filled
 * first; what a full one saves against the last of them is its price.
 */
function likelyPrices({ groups, layerCount, read }: HeadProblem): Float64Array {
  const bytes = (read[layerCount] ?? 0) / layerCount;
  const full = groups.map(({ ends, fixedMs, msPerByte, most }, index) => {
    let sum = 0;
    let starts = 0;
    for (let first = 0; first < layerCount && (starts === 0 || (ends[first] ?? 0) < layerCount); first++) {
      sum += Math.max(0, (ends[first] ?? 0) - first);
      starts++;
    }
    const layers = sum / starts;
    return { index, most, layers, ms: layers > 0 ? fixedMs / layers + msPerByte * bytes : Infinity };
  });
  full.sort((a, b) => a.ms - b.ms);
  let left = layerCount;
  let dearest = 0;
  for (const { most, layers, ms } of full) {
    if (left <= 0 || ms === Infinity) break;
    left -= most * layers;
    dearest = ms;
  }
  const prices = new Float64Array(groups.length);
  for (const { index, layers, ms } of full) prices[index] = ms < dearest ? (dearest - ms) * layers : 0;
  return prices;
}

/** Called with every path that the relaxation takes to be shortest: it often is nearly a placement. Returns the goal from then on. */
export type Look = (path: { readonly headEnd: number; readonly stages: Path["stages"] }, boundMs: number) => number;

/**
 * Prices under which the bound is high, by the subgradient method with Polyak's steps towards a goal, starting from the field's own. Ends
 * where the bound reaches the goal, after so many steps, or where they lead nowhere any more.
 */
export function relax(field: Field, problem: HeadProblem, goalMs: number, stepsMax: number, look?: Look): Relaxation {
  const { groups } = problem;
  const nameOf = (index: number): string => groups[index]?.members[0]?.node.name ?? "";
  let goal = goalMs;
  const layout = layOut(problem);
  const boundAt = (at: Float64Array, stages: number): number =>
    (forward(layout, at, stages).before[problem.layerCount] ?? Infinity) - givenBack(problem, at, stages);
  let stagePrice = Math.max(0, field.prices.get("") ?? 0);
  let prices: Float64Array = likelyPrices(problem);
  if (field.prices.size > 0) {
    const known = Float64Array.from(groups, ({ least }, index) => {
      const price = field.prices.get(nameOf(index)) ?? 0;
      return least > 0 ? price : Math.max(0, price);
    });
    if (boundAt(known, stagePrice) >= boundAt(prices, 0)) prices = known;
    else stagePrice = 0;
  }
  let best: Pick<Relaxation, "prices" | "stagePrice" | "boundMs" | "before"> = {
    prices,
    stagePrice,
    boundMs: -Infinity,
    before: new Float64Array(0),
  };
  let length = STEP_FIRST;
  let sinceBetter = 0;
  const way = new Float64Array(groups.length);
  let stageWay = 0;
  for (let step = 0; step < stepsMax; step++) {
    field.effort.explored++;
    const walk = forward(layout, prices, stagePrice);
    const total = walk.before[problem.layerCount] ?? Infinity;
    const boundMs = total - givenBack(problem, prices, stagePrice);
    if (boundMs > best.boundMs) {
      best = { prices, stagePrice, boundMs, before: walk.before };
      sinceBetter = 0;
    } else if (++sinceBetter >= PATIENCE) {
      length /= 2;
      sinceBetter = 0;
      if (length < STEP_MIN) break;
    }
    if (boundMs >= goal || total === Infinity) break;
    const path = stagesOf(problem, walk);
    if (look !== undefined) goal = look(path, best.boundMs);
    if (best.boundMs >= goal) break;
    const usage = usageOf(problem, path.stages);
    const slopes = Float64Array.from(groups, ({ least, most }, index) => {
      const price = prices[index] ?? 0;
      const used = usage[index] ?? 0;
      if (used > most) return used - most;
      if (used < least) return used - least;
      return price > 0 ? used - most : price < 0 ? used - least : 0;
    });
    const over = path.stages.length - problem.remoteMax;
    const stageSlope = over > 0 || stagePrice > 0 ? over : 0;
    if (slopes.every((slope) => slope === 0) && stageSlope === 0) break;
    slopes.forEach((slope, index) => {
      let to = slope + KEPT * (way[index] ?? 0);
      // A price that is 0 already goes no lower: it is no part of the way.
      if ((prices[index] ?? 0) <= 0 && (groups[index]?.least ?? 0) === 0) to = Math.max(0, to);
      way[index] = to;
    });
    stageWay = stageSlope + KEPT * stageWay;
    if (stagePrice <= 0) stageWay = Math.max(0, stageWay);
    const norm = way.reduce((sum, slope) => sum + slope * slope, stageWay * stageWay);
    if (norm === 0) break;
    // Without a placement to aim at, half as much again as the bound.
    const aim = Number.isFinite(goal) ? goal : Math.max(boundMs, best.boundMs) * 1.5;
    const scale = (length * (aim - boundMs)) / norm;
    prices = prices.map((price, index) => {
      const moved = price + scale * (way[index] ?? 0);
      return (groups[index]?.least ?? 0) > 0 ? moved : Math.max(0, moved);
    });
    stagePrice = Math.max(0, stagePrice + scale * stageWay);
  }
  best.prices.forEach((price, index) => field.prices.set(nameOf(index), price));
  field.prices.set("", best.stagePrice);
  return {
    problem,
    ...best,
    givenBack: givenBack(problem, best.prices, best.stagePrice),
    after: backward(layout, best.prices, best.stagePrice),
  };
}
