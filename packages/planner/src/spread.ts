import { REMOTE_STAGES_MAX } from "@clusterd/wire";
import { besideEffort } from "./effort.ts";
import type { Field, Member } from "./field.ts";
import { headProblem, NO_WISHES, type Group, type HeadProblem } from "./head-problem.ts";
import { bestOverHeads } from "./heads.ts";
import { price, type Priced } from "./layout.ts";
import { priceOf } from "./path.ts";
import { moveOne, proportional, type Counts } from "./proportion.ts";
import { nothingFound, type Search } from "./search.ts";

/** Layers moved at most from where they do not fit; then only fitting counts. */
const REPAIRS_MAX = 8;

/** Every machine gets layers in proportion to its budget: largest remainder, at least one each. */
export function planSpread(field: Field, top: number): Search {
  const { members, layerCount, effort } = field;
  if (members.length > Math.min(layerCount, REMOTE_STAGES_MAX + 1)) return nothingFound(1);
  const counts = proportional(field);
  if (counts === null) return nothingFound(1);
  const problems = field.heads.map((head) => headProblem(field, head, { ...NO_WISHES, headHolds: "some" }, new Map()));
  let moved = 0;
  let orders = bestOrders(field, problems, counts);
  while (orders.length === 0 && moved < REPAIRS_MAX && moveOne(field, counts)) {
    moved++;
    orders = bestOrders(field, problems, counts);
  }
  const [best, ...others] = orders;
  if (best === undefined) return allTakePart(field, problems);
  return {
    best,
    runnerUp: others[0] ?? null,
    alternatives: others.slice(0, top),
    unused: new Map(),
    optimal: true,
    method:
      "layers in proportion to the budgets, largest remainder; of every head and order, by dynamic programming over sets of machines, the fastest",
    lowerBoundMs: best.msPerToken,
    explored: effort.explored,
    notes:
      moved === 0
        ? []
        : [
            `In exact proportion to the budgets it does not fit: ${moved === 1 ? "one layer is" : `${moved} layers are`} elsewhere.`,
          ],
  };
}

/** For each head that can be, the fastest order of the others with these counts; the fastest first. */
function bestOrders(field: Field, problems: readonly HeadProblem[], counts: Counts): readonly Priced[] {
  return problems
    .flatMap((problem) => {
      const priced = bestOrder(field, problem, counts);
      return priced === null ? [] : [priced];
    })
    .sort((a, b) => a.msPerToken - b.msPerToken || (a.layout.head.name < b.layout.head.name ? -1 : 1));
}

/** Where a stage starts is known from the set of those before it: of their orders only the fastest counts (Held and Karp). */
function bestOrder(field: Field, problem: HeadProblem, counts: Counts): Priced | null {
  const { head, read, startMs } = problem;
  if (head === null) return null;
  const own = counts.get(head) ?? 0;
  const others = field.members.filter((member) => member !== head);
  const stages = others.map((member) => {
    const group = problem.groups.find((each) => each.members.includes(member));
    return { member, count: counts.get(member) ?? 0, group };
  });
  const holds = ({ group, count }: { readonly group: Group | undefined; readonly count: number }): boolean =>
    group?.ends.some((end, first) => end - first >= count) ?? false;
  if (!stages.every(holds)) return null;
  const sets = 1 << others.length;
  const ms = new Float64Array(sets).fill(Infinity);
  const last = new Int8Array(sets).fill(-1);
  const starts = new Int32Array(sets).fill(own);
  ms[0] = startMs[own] ?? Infinity;
  for (let set = 0; set < sets; set++) {
    const so = ms[set] ?? Infinity;
    if (so === Infinity) continue;
    field.effort.explored++;
    const first = starts[set] ?? 0;
    for (let index = 0; index < stages.length; index++) {
      const { group, count } = stages[index] ?? {};
      if ((set & (1 << index)) !== 0 || group === undefined || count === undefined) continue;
      const end = first + count;
      if (count < group.lengthMin || end > (group.ends[first] ?? 0)) continue;
      const total = so + group.fixedMs + ((read[end] ?? 0) - (read[first] ?? 0)) * group.msPerByte;
      const next = set | (1 << index);
      if (total >= (ms[next] ?? Infinity)) continue;
      ms[next] = total;
      last[next] = index;
      starts[next] = end;
    }
  }
  if (ms[sets - 1] === Infinity) return null;
  const order: { node: Member["node"]; count: number }[] = [];
  for (let set = sets - 1; set > 0;) {
    const index = last[set] ?? 0;
    const { member, count } = stages[index] ?? {};
    if (member !== undefined && count !== undefined) order.unshift({ node: member.node, count });
    set &= ~(1 << index);
  }
  return price(field.cost, field.links, { head: head.node, shares: [{ node: head.node, count: own }, ...order] });
}

/** The fastest placement in which all take part, where nothing near the right proportion fits. */
function allTakePart(field: Field, problems: readonly HeadProblem[]): Search {
  let best: Priced | null = null;
  let boundMs = Infinity;
  let complete = true;
  for (const { head, groups } of problems) {
    if (head === null) continue;
    const least = new Map(groups.map(({ members }) => [members[0]?.node.name ?? "", members.length]));
    const over = bestOverHeads(
      field,
      [head],
      { ...NO_WISHES, headHolds: "some", least },
      best?.msPerToken ?? Infinity,
      besideEffort(field.members.length),
    );
    const priced = over.found === null ? null : priceOf(field, over.found.problem, over.found.path);
    if (priced !== null) best = priced;
    boundMs = Math.min(boundMs, over.boundMs);
    complete &&= over.complete;
  }
  return {
    ...nothingFound(field.effort.explored),
    best,
    optimal: complete,
    method: "the fastest in which every machine takes part, since nothing near the proportion of the budgets fits",
    lowerBoundMs: boundMs,
    notes: ["In proportion to the budgets it does not fit: every machine holds what it can."],
  };
}
