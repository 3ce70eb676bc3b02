import { placeOf, type Placement } from "@clusterd/wire";

/** A host as groups are made of it. */
export interface GroupHost {
  readonly name: string;
  readonly memoryBytes: number;
  readonly canHead: boolean;
}

/** A set of hosts with its placement and what that gives, tokens per second. */
export interface Group {
  readonly placement: Placement;
  readonly rate: number;
}

/** The placement on some hosts and on no others; null: none, or none that is wanted. */
export type GroupOf = (hosts: readonly string[]) => Group | null;

/** Up to so many hosts every way to divide them is looked at: for six, 63 sets are planned. */
export const EXACT_HOSTS_MAX = 6;

/** For every number of groups, from 1 on, the groups with the greatest sum that was found; null where that many were not. */
export type BySize = readonly (readonly Group[] | null)[];

/** One plan after another is made between two `yield`s, so that the caller may do something else meanwhile. */
export type Steps<Result> = Generator<void, Result, void>;

/**
 * The best groups there are, for each number of them: every set of hosts is planned once, and the best sums are put together set by set
 * (a set's best division into k groups is a group with its first host and the rest's best division into k − 1, or it does without that
 * host). Exact where `groupOf` is.
 */
export function* exactGroups(hosts: readonly GroupHost[], countMax: number, groupOf: GroupOf): Steps<BySize> {
  const all = 2 ** hosts.length;
  const groups: (Group | null)[] = [null];
  for (let set = 1; set < all; set++) {
    const members = hosts.filter((_, index) => (set >> index) & 1);
    groups.push(members.some((host) => host.canHead) ? groupOf(members.map((host) => host.name)) : null);
    yield;
  }
  let fewer: (readonly Group[] | null)[] = Array.from({ length: all }, () => []);
  const bySize: (readonly Group[] | null)[] = [];
  for (let count = 1; count <= countMax; count++) {
    const best: (readonly Group[] | null)[] = [null];
    for (let set = 1; set < all; set++) {
      const first = set & -set;
      let found = best[set & ~first] ?? null;
      for (let part = set; part > 0; part = (part - 1) & set) {
        const [group, rest] = [groups[part] ?? null, fewer[set & ~part] ?? null];
        if ((part & first) === 0 || group === null || rest === null) continue;
        if (found === null || sumOf(rest) + group.rate > sumOf(found)) found = [...rest, group];
      }
      best.push(found);
    }
    bySize.push(best[all - 1] ?? null);
    fewer = best;
  }
  return bySize;
}

/**
 * Groups for more hosts than all ways can be looked at of, for each number of them: the better of two divisions. Peeled: the best placement
 * over all hosts, then the best over those it leaves, and so on. Dealt: the largest hosts that can be a head found a group each, every
 * further host goes where there is least memory. Not the optimum: the one may leave too little for the last, the other mixes fast and slow.
 */
export function* greedyGroups(hosts: readonly GroupHost[], countMax: number, groupOf: GroupOf): Steps<BySize> {
  const peeled = yield* peel(hosts, countMax, groupOf);
  const bySize: (readonly Group[] | null)[] = [];
  for (let count = 1; count <= countMax; count++) {
    const first = peeled.length >= count ? peeled.slice(0, count) : null;
    const second = count === 1 ? null : yield* deal(hosts, count, groupOf);
    bySize.push(second !== null && (first === null || sumOf(second) > sumOf(first)) ? second : first);
  }
  return bySize;
}

function* peel(hosts: readonly GroupHost[], countMax: number, groupOf: GroupOf): Steps<readonly Group[]> {
  const groups: Group[] = [];
  let left = hosts.map((host) => host.name);
  while (groups.length < countMax && left.length > 0) {
    const group = groupOf(left);
    yield;
    if (group === null) break;
    groups.push(group);
    const used = new Set(hostsOf(group.placement));
    left = left.filter((host) => !used.has(host));
  }
  return groups;
}

function* deal(hosts: readonly GroupHost[], count: number, groupOf: GroupOf): Steps<readonly Group[] | null> {
  const largest = [...hosts].sort((a, b) => b.memoryBytes - a.memoryBytes || (a.name < b.name ? -1 : 1));
  const heads = largest.filter((host) => host.canHead).slice(0, count);
  if (heads.length < count) return null;
  const hands = heads.map((host) => ({ memoryBytes: host.memoryBytes, hosts: [host.name] }));
  for (const host of largest) {
    const [least] = heads.includes(host) ? [] : [...hands].sort((a, b) => a.memoryBytes - b.memoryBytes);
    if (least === undefined) continue;
    least.memoryBytes += host.memoryBytes;
    least.hosts.push(host.name);
  }
  const groups: Group[] = [];
  for (const hand of hands) {
    const group = groupOf(hand.hosts);
    yield;
    if (group === null) return null;
    groups.push(group);
  }
  return groups;
}

export function sumOf(groups: readonly Group[]): number {
  return groups.reduce((sum, group) => sum + group.rate, 0);
}

/** The host of a node's name: `pc` of `pc#1`, its second accelerator. */
export function hostOf(node: string): string {
  return placeOf(node).node;
}

function hostsOf({ head, stages }: Placement): readonly string[] {
  return [head, ...stages.map((stage) => stage.node)].map(hostOf);
}
