import { besideEffort } from "./effort.ts";
import type { Field, Member } from "./field.ts";
import { headProblem, type Ends, type HeadProblem, type Wishes } from "./head-problem.ts";
import { rank } from "./heads.ts";
import type { Priced } from "./layout.ts";
import { priceOf, usageOf, type Path } from "./path.ts";
import { solve } from "./solve.ts";

/** Searches for alternatives at most, and for each alternative asked for. */
const SEARCHES_MAX = 60;
const SEARCHES_EACH = 40;

/** A part of all placements: one head, and how often machines take part. */
interface Part {
  readonly head: Member;
  readonly wishes: Wishes;
}

interface Candidate {
  readonly key: string;
  readonly priced: Priced;
}

/**
 * The fastest placements over another head or other machines than the best one's, each of them once: the fastest of a part of all
 * placements is found, the part divided by what that one uses (Lawler), and so on. Machines that nothing tells apart count as the same.
 */
export function alternativesTo(
  field: Field,
  heads: readonly Member[],
  best: Priced,
  wishes: Wishes,
  count: number,
  known: readonly Priced[],
): readonly Priced[] {
  const effort = besideEffort(field.members.length);
  const ends: Ends = new Map();
  const pool: Candidate[] = [];
  const bestKey = keyOf(field, best);
  const threshold = (): number => pool[count - 1]?.priced.msPerToken ?? Infinity;
  const offer = (priced: Priced | null): void => {
    if (priced === null) return;
    const key = keyOf(field, priced);
    const same = pool.findIndex((each) => each.key === key);
    if (key === bestKey || (same >= 0 && (pool[same]?.priced.msPerToken ?? 0) <= priced.msPerToken)) return;
    if (same >= 0) pool.splice(same, 1);
    pool.push({ key, priced });
    pool.sort((a, b) => a.priced.msPerToken - b.priced.msPerToken || (a.key < b.key ? -1 : 1));
    pool.splice(count);
  };
  for (const priced of known) offer(priced);
  const open: { part: Part; problem: HeadProblem; path: Path; key: string }[] = [];
  let searches = SEARCHES_MAX + SEARCHES_EACH * count;
  const look = (part: Part): void => {
    if (--searches < 0) return;
    const problem = headProblem(field, part.head, part.wishes, ends);
    // As fast as the slowest kept is no better, but the best itself must be found to divide its part.
    const { path } = solve(field, problem, threshold(), effort);
    if (path === null) return;
    const priced = priceOf(field, problem, path);
    if (priced === null) return;
    open.push({ part, problem, path, key: keyOf(field, priced) });
    offer(priced);
  };
  const ranked = rank(field, heads, wishes, ends, threshold(), effort, false);
  for (const { head } of ranked.slice(0, effort.heads)) look({ head, wishes });
  for (;;) {
    open.sort((a, b) => a.path.ms - b.path.ms || (a.key < b.key ? -1 : 1));
    const next = open.shift();
    if (next === undefined || next.path.ms >= threshold() || searches < 0) break;
    for (const part of divide(next.part, next.problem, next.path)) look(part);
  }
  return pool.map(({ priced }) => priced);
}

/** What head and machines a placement has, in words that are the same for machines that nothing tells apart. */
function keyOf(field: Field, { layout }: Priced): string {
  const members = new Map(field.members.map((member) => [member.node.name, member]));
  const head = members.get(layout.head.name);
  if (head === undefined) return "";
  const nameOf = (member: Member): string =>
    member.pin === null ? `${member.kind}/${field.hopMs(head, member)}` : member.node.name;
  const own = field.usuallyLinked(head) && head.pin === null ? `${head.kind}` : head.node.name;
  const others = layout.shares.flatMap(({ node }) => {
    const member = members.get(node.name);
    return member === undefined || member === head ? [] : [nameOf(member)];
  });
  return [own, layout.shares.some(({ node }) => node === layout.head) ? "holds" : "empty", ...others.sort()].join(" ");
}

/** All of a part but what uses just as many machines of each group as its fastest. */
function* divide({ head, wishes }: Part, problem: HeadProblem, { headEnd, stages }: Path): Generator<Part> {
  if (wishes.headHolds === "any") yield { head, wishes: { ...wishes, headHolds: headEnd === 0 ? "some" : "none" } };
  const usage = usageOf(problem, stages);
  let { least, most } = wishes;
  for (const [index, group] of problem.groups.entries()) {
    const name = group.members[0]?.node.name ?? "";
    const used = usage[index] ?? 0;
    if (used > group.least) yield { head, wishes: { ...wishes, least, most: new Map(most).set(name, used - 1) } };
    if (used < group.most) yield { head, wishes: { ...wishes, least: new Map(least).set(name, used + 1), most } };
  }
}
