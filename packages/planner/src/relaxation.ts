import type { Field } from "./field.ts";
import type { HeadProblem } from "./head-problem.ts";
import { usageOf, type Path } from "./path.ts";

/** Steps that may pass without a better bound before they are made half as long, and the shortest that is tried. */
const PATIENCE = 4;
const STEP_MIN = 0.1;
/** Length of the first step, as a share of the way to the goal. */
const STEP_FIRST = 1.2;

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

function forward(problem: HeadProblem, prices: Float64Array, stagePrice: number): Walk {
  const { layerCount, groups, read } = problem;
  const before = Float64Array.from(problem.startMs);
  const via = new Int32Array(layerCount + 1).fill(-1);
  const from = new Int32Array(layerCount + 1);
  for (let first = 0; first < layerCount; first++) {
    const at = before[first] ?? Infinity;
    if (at === Infinity) continue;
    for (let index = 0; index < groups.length; index++) {
      const group = groups[index];
      if (group === undefined) continue;
      const last = group.ends[first] ?? 0;
      const { msPerByte } = group;
      const base = at + group.fixedMs + (prices[index] ?? 0) + stagePrice - (read[first] ?? 0) * msPerByte;
      for (let end = first + group.lengthMin; end <= last; end++) {
        const ms = base + (read[end] ?? 0) * msPerByte;
        if (ms < (before[end] ?? Infinity)) {
          before[end] = ms;
          via[end] = index;
          from[end] = first;
        }
      }
    }
  }
  return { before, via, from };
}

function backward(problem: HeadProblem, prices: Float64Array, stagePrice: number): Float64Array {
  const { layerCount, groups, read } = problem;
  const after = new Float64Array(layerCount + 1).fill(Infinity);
  after[layerCount] = 0;
  for (let first = layerCount - 1; first >= 0; first--) {
    let best = Infinity;
    for (let index = 0; index < groups.length; index++) {
      const group = groups[index];
      if (group === undefined) continue;
      const last = group.ends[first] ?? 0;
      const { msPerByte } = group;
      const base = group.fixedMs + (prices[index] ?? 0) + stagePrice - (read[first] ?? 0) * msPerByte;
      for (let end = first + group.lengthMin; end <= last; end++) {
        const ms = base + (read[end] ?? 0) * msPerByte + (after[end] ?? Infinity);
        if (ms < best) best = ms;
      }
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
  let prices: Float64Array = Float64Array.from(groups, ({ least }, index) => {
    const known = field.prices.get(nameOf(index)) ?? 0;
    return least > 0 ? known : Math.max(0, known);
  });
  let stagePrice = Math.max(0, field.prices.get("") ?? 0);
  let best: Pick<Relaxation, "prices" | "stagePrice" | "boundMs" | "before"> = {
    prices,
    stagePrice,
    boundMs: -Infinity,
    before: new Float64Array(0),
  };
  let length = STEP_FIRST;
  let sinceBetter = 0;
  for (let step = 0; step < stepsMax; step++) {
    field.effort.explored++;
    const walk = forward(problem, prices, stagePrice);
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
    const norm = slopes.reduce((sum, slope) => sum + slope * slope, stageSlope * stageSlope);
    if (norm === 0) break;
    // Without a placement to aim at, half as much again as the bound.
    const aim = Number.isFinite(goal) ? goal : Math.max(boundMs, best.boundMs) * 1.5;
    const scale = (length * (aim - boundMs)) / norm;
    prices = prices.map((price, index) => {
      const moved = price + scale * (slopes[index] ?? 0);
      return (groups[index]?.least ?? 0) > 0 ? moved : Math.max(0, moved);
    });
    stagePrice = Math.max(0, stagePrice + scale * stageSlope);
  }
  best.prices.forEach((price, index) => field.prices.set(nameOf(index), price));
  field.prices.set("", best.stagePrice);
  return {
    problem,
    ...best,
    givenBack: givenBack(problem, best.prices, best.stagePrice),
    after: backward(problem, best.prices, best.stagePrice),
  };
}
