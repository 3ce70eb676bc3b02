import type { Field, Member } from "./field.ts";
import type { HeadProblem } from "./head-problem.ts";
import { price, type Priced } from "./layout.ts";

/** A placement as the searches see it: where the head's own layers end (0: it has none), then stages of groups. */
export interface Path {
  readonly headEnd: number;
  readonly stages: readonly { readonly group: number; readonly first: number; readonly end: number }[];
  readonly ms: number;
}

/** Time of a path by the problem's own figures. */
export function pathMs(problem: HeadProblem, headEnd: number, stages: Path["stages"]): number {
  return stages.reduce((sum, { group, first, end }) => {
    const { fixedMs = Infinity, msPerByte = 0 } = problem.groups[group] ?? {};
    return sum + fixedMs + ((problem.read[end] ?? 0) - (problem.read[first] ?? 0)) * msPerByte;
  }, problem.startMs[headEnd] ?? Infinity);
}

/** The path with its machines: of machines alike, those first by name. */
export function priceOf(field: Field, problem: HeadProblem, path: Path): Priced | null {
  const { head } = problem;
  if (head === null) return null;
  const taken = new Map<number, number>();
  const stages = path.stages.flatMap(({ group, first, end }) => {
    const index = taken.get(group) ?? 0;
    taken.set(group, index + 1);
    const member: Member | undefined = problem.groups[group]?.members[index];
    return member === undefined ? [] : [{ node: member.node, count: end - first }];
  });
  const own = path.headEnd === 0 ? [] : [{ node: head.node, count: path.headEnd }];
  return price(field.cost, field.links, { head: head.node, shares: [...own, ...stages] });
}

/** How often each group takes part. */
export function usageOf(problem: HeadProblem, stages: Path["stages"]): Int32Array {
  const usage = new Int32Array(problem.groups.length);
  for (const { group } of stages) usage[group] = (usage[group] ?? 0) + 1;
  return usage;
}

/** Whether every machine is used at most once and no wish is left out. */
export function isPlacement(problem: HeadProblem, stages: Path["stages"]): boolean {
  const usage = usageOf(problem, stages);
  return (
    stages.length <= problem.remoteMax &&
    problem.groups.every(({ least, most }, index) => (usage[index] ?? 0) >= least && (usage[index] ?? 0) <= most)
  );
}
