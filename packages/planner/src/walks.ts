import type { HeadProblem } from "./head-problem.ts";

/** Shortest paths from the start, and by which group and first layer each end was reached. */
export interface Walk {
  readonly before: Float64Array;
  readonly via: Int32Array;
  readonly from: Int32Array;
}

/** A problem's groups laid out for the walks, with room for their queues. */
export interface Layout {
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

export function layOut(problem: HeadProblem): Layout {
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
export function forward(layout: Layout, prices: Float64Array, stagePrice: number): Walk {
  const { problem, ends, lengthMin, msPerByte, fixed, queue, times, fronts, backs } = layout;
  setPrices(layout, prices, stagePrice);
  const { layerCount, read } = problem;
  const width = layerCount + 1;
  const count = fixed.length;
  const before = problem.startMs.slice();
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
export function backward(layout: Layout, prices: Float64Array, stagePrice: number): Float64Array {
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
