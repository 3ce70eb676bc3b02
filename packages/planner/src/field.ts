import { REMOTE_STAGES_MAX, type LinkTable, type Pin, type PlannerNode } from "@clusterd/wire";
import type { CostModel } from "./cost.ts";
import { LABELS_MAX } from "./effort.ts";
import { neighboursOf, roundTripMs } from "./links.ts";

/** A machine and what the searches need to know of it. */
export interface Member {
  readonly node: PlannerNode;
  /** The same for machines with equal memory and bandwidth. */
  readonly kind: number;
  readonly pin: Pin | null;
}

/** All that the searches of one plan share: nodes by name, sums over the layers, and what is left of the effort. */
export interface Field {
  readonly cost: CostModel;
  readonly links: LinkTable;
  readonly members: readonly Member[];
  readonly heads: readonly Member[];
  readonly pinned: boolean;
  readonly layerCount: number;
  /** Bytes read per token by all layers before each. */
  readonly read: Float64Array;
  /** Where a stage that starts at a layer must end at the latest because of pins; the layer itself where it may not start. */
  readonly openUntil: Int32Array;
  /** Multipliers of the relaxation by node, kept from search to search: any are valid, good ones are found sooner from good ones. */
  readonly prices: Map<string, number>;
  readonly effort: { labels: number; explored: number };
  hopMs(head: Member, member: Member): number;
  /** Whether the head is as far from every machine as the inventory says of all. */
  usuallyLinked(head: Member): boolean;
  /** The machines that may be of use to a head, others having enough that are at least as good. */
  useful(head: Member): readonly Member[];
}

export function makeField(
  cost: CostModel,
  nodes: readonly PlannerNode[],
  heads: readonly PlannerNode[],
  links: LinkTable,
  pins: readonly Pin[],
): Field {
  const kinds = new Map<string, number>();
  const pinOf = new Map(pins.map((pin) => [pin.node, pin]));
  const members = [...nodes]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((node) => {
      const key = `${node.memoryBytes} ${node.bandwidthBytesPerSecond}`;
      const kind = kinds.get(key) ?? kinds.size;
      kinds.set(key, kind);
      return { node, kind, pin: pinOf.get(node.name) ?? null };
    });
  const layerCount = cost.layerCount;
  const { hiddenBytes } = cost.model;
  const usualMs = roundTripMs(links, hiddenBytes);
  function hopMs(head: Member, member: Member): number {
    const link = neighboursOf(links, head.node.name).get(member.node.name);
    return link === undefined ? usualMs : roundTripMs(link, hiddenBytes);
  }
  const usuallyLinked = (head: Member): boolean => neighboursOf(links, head.node.name).size === 0;
  const usual = new Map<Member | null, readonly Member[]>();
  function useful(head: Member): readonly Member[] {
    // Heads without links of their own see the same machines.
    const key = usuallyLinked(head) ? null : head;
    const found = usual.get(key) ?? undominated(members, (member) => (key === null ? usualMs : hopMs(head, member)));
    usual.set(key, found);
    return found;
  }
  const names = new Set(heads.map((head) => head.name));
  return {
    cost,
    links,
    members,
    heads: members.filter(({ node }) => names.has(node.name)),
    pinned: pins.length > 0,
    layerCount,
    read: bytesRead(cost),
    openUntil: openUntil(pins, layerCount),
    prices: new Map(),
    effort: { labels: LABELS_MAX, explored: 0 },
    hopMs,
    usuallyLinked,
    useful,
  };
}

/** Sums of the bytes read per token, from the cost model's own times on a machine that reads a byte in a millisecond. */
function bytesRead(cost: CostModel): Float64Array {
  const unit: PlannerNode = { name: "", memoryBytes: 0, bandwidthBytesPerSecond: 1000, canHead: false };
  const none = cost.computeMs(0, 0, unit);
  return Float64Array.from({ length: cost.layerCount + 1 }, (_, end) => cost.computeMs(0, end, unit) - none);
}

function openUntil(pins: readonly Pin[], layerCount: number): Int32Array {
  const until = new Int32Array(layerCount + 1).fill(layerCount);
  for (const pin of pins) {
    for (let first = 0; first <= pin.lastLayer; first++)
      until[first] = Math.min(until[first] ?? 0, first < pin.firstLayer ? pin.firstLayer : first);
  }
  return until;
}

/**
 * Machines of which there are not so many others at least as good in memory, bandwidth and hop that one would always be free to take the
 * place: all remote stages and the head are one more than that. Equal ones count by their order. It is enough to compare with those kept:
 * what a machine left out is better than, those that are better than it are better than too.
 */
function undominated(members: readonly Member[], hopMs: (member: Member) => number): readonly Member[] {
  const betters = REMOTE_STAGES_MAX + 1;
  if (members.length <= betters) return members;
  const sorted = members
    .map((member, index) => ({ member, index, memory: member.node.memoryBytes, ms: hopMs(member) }))
    .sort(
      (a, b) =>
        b.member.node.bandwidthBytesPerSecond - a.member.node.bandwidthBytesPerSecond ||
        b.memory - a.memory ||
        a.ms - b.ms ||
        a.index - b.index,
    );
  const kept: typeof sorted = [];
  for (const each of sorted) {
    let better = 0;
    for (const other of kept) if (other.memory >= each.memory && other.ms <= each.ms && ++better > betters) break;
    if (better <= betters || each.member.pin !== null) kept.push(each);
  }
  return kept.sort((a, b) => a.index - b.index).map(({ member }) => member);
}
