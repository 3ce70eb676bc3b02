import type { Group, HeadProblem } from "./head-problem.ts";
import { pathMs, type Path } from "./path.ts";
import { Window } from "./window.ts";

/**
 * The fastest placement whose stages come in the order given, each of them taking part or not: exact for that order, and so altogether
 * where layers are alike. Groups are named as often as they have machines. Null where nothing fits in this order.
 */
export function bestInOrder(problem: HeadProblem, order: readonly number[]): Path | null {
  // Counting stages costs sixteen times as much and matters where there are many small machines only.
  const uncounted = run(problem, order, 0);
  if (uncounted === null || uncounted.stages.length <= problem.remoteMax) return uncounted;
  return run(problem, order, problem.remoteMax);
}

function run(problem: HeadProblem, order: readonly number[], countMax: number): Path | null {
  const { layerCount, groups, startMs } = problem;
  const width = layerCount + 1;
  const values = new Float64Array((countMax + 1) * width).fill(Infinity);
  values.set(startMs);
  const from = new Int32Array(order.length * values.length).fill(-1);
  const seen = new Int32Array(groups.length);
  order.forEach((index, at) => {
    const group = groups[index];
    if (group === undefined) return;
    seen[index] = (seen[index] ?? 0) + 1;
    const must = (seen[index] ?? 0) <= group.least;
    const chosen = from.subarray(at * values.length, (at + 1) * values.length);
    if (countMax === 0) take(problem, group, must, values, values, chosen);
    for (let count = countMax; count > 0; count--) {
      const [low, high] = [(count - 1) * width, count * width];
      take(
        problem,
        group,
        must,
        values.subarray(low, high),
        values.subarray(high, high + width),
        chosen.subarray(high, high + width),
      );
    }
    if (countMax > 0 && must) values.fill(Infinity, 0, width);
  });
  let best = 0;
  for (let count = 1; count <= countMax; count++)
    if ((values[count * width + layerCount] ?? 0) < (values[best * width + layerCount] ?? 0)) best = count;
  if (!Number.isFinite(values[best * width + layerCount])) return null;
  const stages: { group: number; first: number; end: number }[] = [];
  let end = layerCount;
  for (let at = order.length - 1; at >= 0; at--) {
    const first = from[at * values.length + best * width + end] ?? -1;
    if (first < 0) continue;
    stages.unshift({ group: order[at] ?? 0, first, end });
    end = first;
    if (countMax > 0) best--;
  }
  return { headEnd: end, stages, ms: pathMs(problem, end, stages) };
}

/** One more machine may (or must) take a stage after what the others hold: `to` by `before` and itself. Both may be one. */
function take(
  problem: HeadProblem,
  group: Group,
  must: boolean,
  before: Float64Array,
  to: Float64Array,
  chosen: Int32Array,
): void {
  const { read, layerCount } = problem;
  const { fixedMs, msPerByte } = group;
  const window = new Window(layerCount + 1, group);
  for (let end = 0; end <= layerCount; end++) {
    const bytes = read[end] ?? 0;
    const without = before[end] ?? Infinity;
    const first = window.firstFor(end);
    const ms = first < 0 ? Infinity : window.ms + fixedMs + bytes * msPerByte;
    const kept = must ? Infinity : (to[end] ?? Infinity);
    to[end] = Math.min(kept, ms);
    chosen[end] = ms < kept ? first : -1;
    if (without !== Infinity) window.add(end, without - bytes * msPerByte);
  }
}

/** Groups as often as they have machines, the fastest first. */
export function orderBySpeed({ groups }: HeadProblem): readonly number[] {
  return groups
    .map((group, index) => ({ group, index }))
    .sort((a, b) => a.group.msPerByte - b.group.msPerByte || a.group.fixedMs - b.group.fixedMs || a.index - b.index)
    .flatMap(({ group, index }) => Array.from<number>({ length: group.most }).fill(index));
}

/** A path's groups in its order, as often as each may take part, and the others around them by speed. */
export function orderLike(problem: HeadProblem, stages: Path["stages"], others: readonly number[]): readonly number[] {
  const left = problem.groups.map((group) => group.most);
  const order: number[] = [];
  for (const { group } of stages) {
    if ((left[group] ?? 0) === 0) continue;
    left[group] = (left[group] ?? 0) - 1;
    order.push(group);
  }
  for (const group of others) {
    if ((left[group] ?? 0) === 0) continue;
    left[group] = (left[group] ?? 0) - 1;
    order.push(group);
  }
  return order;
}
