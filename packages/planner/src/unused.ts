import { besideEffort } from "./effort.ts";
import type { Field, Member } from "./field.ts";
import type { Wishes } from "./head-problem.ts";
import { bestOverHeads } from "./heads.ts";
import type { Priced } from "./layout.ts";
import { priceOf } from "./path.ts";
import { NEAR_BEST, type Unused } from "./search.ts";

/** In larger inventories, unused machines whose part is looked into: those with the most bandwidth. */
const LOOKED_AT_MAX = 8;
/** Inventories in which all are. */
const ALL_LOOKED_AT_MAX = 16;

export interface UnusedSearch {
  readonly unused: ReadonlyMap<string, Unused>;
  /** The placements found with them. */
  readonly placements: readonly Priced[];
}

/** Of every machine without a part, what the best placement with it would cost. */
export function ifUsed(field: Field, heads: readonly Member[], best: Priced, wishes: Wishes): UnusedSearch {
  const used = new Set([best.layout.head.name, ...best.stages.map((stage) => stage.node)]);
  const idle = field.members.filter(({ node }) => !used.has(node.name));
  const looked =
    field.members.length <= ALL_LOOKED_AT_MAX
      ? idle
      : [...idle]
          .sort((a, b) => b.node.bandwidthBytesPerSecond - a.node.bandwidthBytesPerSecond || (a.node.name < b.node.name ? -1 : 1))
          .slice(0, LOOKED_AT_MAX);
  const unused = new Map<string, Unused>();
  const placements: Priced[] = [];
  const alike = new Map<string, number | null>();
  const alone = best.stages.length === 1 && best.stages[0]?.node === best.layout.head.name;
  for (const member of idle) {
    if (!looked.includes(member)) {
      unused.set(member.node.name, {
        why: `not looked into: of ${field.members.length} machines, the ${LOOKED_AT_MAX} unused ones with the most bandwidth were`,
        msPerTokenIfUsed: null,
      });
      continue;
    }
    const key = field.usuallyLinked(member) ? `${member.kind} ${member.node.canHead}` : member.node.name;
    let ms = alike.get(key);
    if (ms === undefined) {
      const priced = fastestWith(field, heads, member, wishes);
      if (priced !== null) placements.push(priced);
      ms = priced?.msPerToken ?? null;
      alike.set(key, ms);
    }
    unused.set(member.node.name, { why: reason(best.msPerToken, ms, alone), msPerTokenIfUsed: ms });
  }
  return { unused, placements };
}

/** The fastest placement in which a machine holds at least one layer: beside a head, or as the head. */
function fastestWith(field: Field, heads: readonly Member[], member: Member, wishes: Wishes): Priced | null {
  const effort = besideEffort(field.members.length);
  const others = heads.filter((head) => head !== member);
  const beside =
    others.length === 0
      ? null
      : bestOverHeads(field, others, { ...wishes, least: new Map(wishes.least).set(member.node.name, 1) }, Infinity, effort)
          .found;
  const below = beside?.path.ms ?? Infinity;
  const heading = field.heads.includes(member)
    ? bestOverHeads(field, [member], { ...wishes, headHolds: "some" }, below, effort).found
    : null;
  const found = heading ?? beside;
  return found === null ? null : priceOf(field, found.problem, found.path);
}

function reason(bestMs: number, ms: number | null, alone: boolean): string {
  if (ms === null) return "it cannot hold a part of this model";
  if (ms < bestMs * (1 - NEAR_BEST) && alone) return "the model fits one machine, and is not split even where that is faster";
  if (alone) return "the model fits one machine; a split would only add hops";
  if (ms <= bestMs * (1 + NEAR_BEST)) return "not needed: it is as fast without it";
  return `the others hold the model and are ${(ms - bestMs).toFixed(1)} ms per token faster without it`;
}
