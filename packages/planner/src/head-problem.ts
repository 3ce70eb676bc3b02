import { REMOTE_STAGES_MAX } from "@clusterd/wire";
import type { Field, Member } from "./field.ts";

/** What a search is to keep to besides the machines' limits. */
export interface Wishes {
  /** Share of every budget that must stay free. */
  readonly free: number;
  /** The most that any stage may take per token, hop included. */
  readonly stageMsMax: number;
  readonly remoteMax: number;
  /** Whether the head holds layers. */
  readonly headHolds: "any" | "none" | "some";
  /** How many stages the machines like the one named take at least, and at most. */
  readonly least: ReadonlyMap<string, number>;
  readonly most: ReadonlyMap<string, number>;
}

const NO_COUNTS: ReadonlyMap<string, number> = new Map();
export const NO_WISHES: Wishes = {
  free: 0,
  stageMsMax: Infinity,
  remoteMax: REMOTE_STAGES_MAX,
  headHolds: "any",
  least: NO_COUNTS,
  most: NO_COUNTS,
};

/** Machines that are the same to a head: as much memory and bandwidth, as far away. */
export interface Group {
  /** By name; as many are taken from the front as take part. */
  readonly members: readonly Member[];
  readonly most: number;
  readonly least: number;
  /** Cost of a stage: `fixedMs` + `msPerByte` × bytes read. */
  readonly fixedMs: number;
  readonly msPerByte: number;
  /** The furthest end of a stage by its first layer; below `first + lengthMin` it cannot start there. */
  readonly ends: Int32Array;
  /** Layers of its shortest stage: 1, or all of its pin. */
  readonly lengthMin: number;
}

/** Where layers may go under one head. */
export interface HeadProblem {
  /** Null: a relaxation of several heads. */
  readonly head: Member | null;
  readonly layerCount: number;
  readonly read: Float64Array;
  /** By the end of the head's own stage (0: none), its cost with the head's work; infinite where that cannot be. */
  readonly startMs: Float64Array;
  readonly groups: readonly Group[];
  readonly remoteMax: number;
  /** All layers alike and no pins: the order of stages changes nothing. */
  readonly uniform: boolean;
}

/** Furthest ends by budget, the same for every head. */
export type Ends = Map<number, Int32Array>;

export function headProblem(field: Field, head: Member, wishes: Wishes, ends: Ends): HeadProblem {
  const { layerCount, read } = field;
  return {
    head,
    layerCount,
    read,
    startMs: startsOf(field, head, wishes),
    groups: groupsOf(field, field.useful(head), head, (member) => field.hopMs(head, member), wishes, ends),
    remoteMax: wishes.remoteMax,
    uniform: field.cost.uniform && !field.pinned,
  };
}

/** What is at least as good as every one of these heads: each machine as near as it is to the nearest of them. */
export function relaxedHeads(field: Field, heads: readonly Member[], wishes: Wishes, ends: Ends): HeadProblem {
  const nearest = new Map<Member, number>();
  const starts = new Float64Array(field.layerCount + 1).fill(Infinity);
  let usualSeen = false;
  for (const head of heads) {
    const usual = field.usuallyLinked(head);
    if (!usual || !usualSeen) {
      for (const member of field.useful(head))
        nearest.set(member, Math.min(nearest.get(member) ?? Infinity, field.hopMs(head, member)));
    }
    usualSeen ||= usual;
    startsOf(field, head, wishes).forEach((ms, end) => (starts[end] = Math.min(starts[end] ?? Infinity, ms)));
  }
  const members = [...nearest.keys()].sort((a, b) => (a.node.name < b.node.name ? -1 : 1));
  return {
    head: null,
    layerCount: field.layerCount,
    read: field.read,
    startMs: starts,
    groups: groupsOf(field, members, null, (member) => nearest.get(member) ?? Infinity, wishes, ends),
    remoteMax: wishes.remoteMax,
    uniform: false,
  };
}

/** `startMs` of a head: its own stage is the first one, or it holds none and only what every head needs must fit. */
export function startsOf(field: Field, head: Member, wishes: Wishes): Float64Array {
  const { cost, layerCount, openUntil } = field;
  const budget = head.node.memoryBytes * (1 - wishes.free);
  const starts = new Float64Array(layerCount + 1).fill(Infinity);
  const headMs = cost.headMs(head.node);
  if (head.pin === null && wishes.headHolds !== "some" && cost.headOnlyBytes <= budget) starts[0] = headMs;
  if (wishes.headHolds === "none" || (head.pin !== null && head.pin.firstLayer > 0)) return starts;
  const shortest = head.pin === null ? 1 : head.pin.lastLayer + 1;
  const longest = head.pin === null ? (openUntil[0] ?? 0) : shortest;
  for (let end = shortest; end <= longest && cost.memoryBytes(0, end, true) <= budget; end++) {
    const ms = cost.computeMs(0, end, head.node);
    if (ms > wishes.stageMsMax) break;
    starts[end] = headMs + ms;
  }
  return starts;
}

function groupsOf(
  field: Field,
  members: readonly Member[],
  head: Member | null,
  hopMs: (member: Member) => number,
  wishes: Wishes,
  ends: Ends,
): readonly Group[] {
  const found = new Map<number, { members: Member[]; hop: number }[]>();
  const all: { members: Member[]; hop: number }[] = [];
  const extra = field.members.filter(({ node }) => wishes.least.has(node.name) && !members.some((each) => each.node === node));
  for (const member of extra.length === 0 ? members : [...members, ...extra]) {
    if (member === head) continue;
    const hop = hopMs(member);
    if (!Number.isFinite(hop)) continue;
    const alike = found.get(member.kind) ?? [];
    const group = member.pin === null ? alike.find((each) => each.hop === hop) : undefined;
    if (group !== undefined) group.members.push(member);
    else {
      const made = { members: [member], hop };
      all.push(made);
      if (member.pin === null) found.set(member.kind, [...alike, made]);
    }
  }
  return all.flatMap(({ members: alike, hop }) => {
    const group = groupOf(field, alike, hop, wishes, ends);
    return group === null ? [] : [group];
  });
}

function groupOf(field: Field, members: readonly Member[], hop: number, wishes: Wishes, ends: Ends): Group | null {
  const [first] = members;
  if (first === undefined) return null;
  let least = 0;
  let most = Math.min(members.length, wishes.remoteMax);
  if (wishes.least.size > 0 || wishes.most.size > 0) {
    for (const { node } of members) {
      least = Math.max(least, wishes.least.get(node.name) ?? 0);
      most = Math.min(most, wishes.most.get(node.name) ?? most);
    }
  }
  if (most === 0 && least === 0) return null;
  const msPerByte = 1000 / first.node.bandwidthBytesPerSecond;
  const fixedMs = hop + field.cost.costs.stageOverheadMs;
  const lengthMin = first.pin === null ? 1 : first.pin.lastLayer - first.pin.firstLayer + 1;
  const budget = first.node.memoryBytes * (1 - wishes.free);
  const furthest = first.pin === null ? furthestEnds(field, budget, ends) : pinnedEnds(field, first, budget);
  const within = wishes.stageMsMax === Infinity ? furthest : endsWithin(field, furthest, fixedMs, msPerByte, wishes.stageMsMax);
  return { members, most, least, fixedMs, msPerByte, ends: within, lengthMin };
}

/** By first layer, how far a worker's stage goes in a budget. */
function furthestEnds({ cost, layerCount, openUntil }: Field, budget: number, known: Ends): Int32Array {
  let ends = known.get(budget);
  if (ends !== undefined) return ends;
  ends = new Int32Array(layerCount + 1);
  let end = 0;
  for (let first = 0; first <= layerCount; first++) {
    end = Math.max(end, first);
    while (end < layerCount && cost.memoryBytes(first, end + 1 - first, false) <= budget) end++;
    ends[first] = Math.min(end, openUntil[first] ?? 0);
  }
  known.set(budget, ends);
  return ends;
}

function pinnedEnds({ cost, layerCount }: Field, { pin }: Member, budget: number): Int32Array {
  const ends = new Int32Array(layerCount + 1);
  if (pin === null) return ends;
  const count = pin.lastLayer - pin.firstLayer + 1;
  if (cost.memoryBytes(pin.firstLayer, count, false) <= budget) ends[pin.firstLayer] = pin.lastLayer + 1;
  return ends;
}

/** The same ends, drawn in to where a stage takes no longer than it may. */
export function endsWithin(
  { read, layerCount }: Pick<Field, "read" | "layerCount">,
  ends: Int32Array,
  fixedMs: number,
  msPerByte: number,
  stageMsMax: number,
): Int32Array {
  const within = new Int32Array(layerCount + 1);
  let end = 0;
  for (let first = 0; first <= layerCount; first++) {
    end = Math.max(end, first);
    while (end < layerCount && fixedMs + ((read[end + 1] ?? 0) - (read[first] ?? 0)) * msPerByte <= stageMsMax) end++;
    within[first] = Math.min(end, ends[first] ?? 0);
  }
  return within;
}
