import type { Field } from "./field.ts";
import type { HeadProblem } from "./head-problem.ts";
import { usageOf, type Path } from "./path.ts";
import { backward, forward, layOut, type Walk } from "./walks.ts";

/** Steps that may pass without a better bound before they are made half as long, and the shortest that is tried. */
const PATIENCE = 5;
const STEP_MIN = 0.02;
/** Share of the way so far that a step keeps to, against going to and fro (Camerini, Fratta and Maffioli). */
const KEPT = 0.8;
/** From this share of the goal on, prices found for another problem are gone on with. */
const KNOWN_IS_GOOD = 0.93;
/** Length of the first step, as a share of the way to the goal. */
export const STEP_FIRST = 0.7;

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
export function relax(
  field: Field,
  problem: HeadProblem,
  goalMs: number,
  stepsMax: number,
  look?: Look,
  stepFirst: number = STEP_FIRST,
): Relaxation {
  const { groups } = problem;
  const nameOf = (index: number): string => groups[index]?.members[0]?.node.name ?? "";
  let goal = goalMs;
  const layout = layOut(problem);
  let prices: Float64Array = likelyPrices(problem);
  let stagePrice = 0;
  if (field.prices.size > 0) {
    const known = prices.map((_, index) => {
      const price = field.prices.get(nameOf(index)) ?? 0;
      return (groups[index]?.least ?? 0) > 0 ? price : Math.max(0, price);
    });
    const knownStage = Math.max(0, field.prices.get("") ?? 0);
    const boundAt = (at: Float64Array, stages: number): number =>
      (forward(layout, at, stages).before[problem.layerCount] ?? Infinity) - givenBack(problem, at, stages);
    const knownMs = boundAt(known, knownStage);
    // Prices that were good for another problem may be bad for this one.
    if (knownMs >= goal * KNOWN_IS_GOOD || knownMs >= boundAt(prices, 0)) [prices, stagePrice] = [known, knownStage];
  }
  let best: Pick<Relaxation, "prices" | "stagePrice" | "boundMs" | "before"> = {
    prices,
    stagePrice,
    boundMs: -Infinity,
    before: new Float64Array(0),
  };
  let length = stepFirst;
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
