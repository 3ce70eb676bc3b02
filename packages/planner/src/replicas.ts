import { ClusterdError, REPLICAS_MAX, type Placement, type PlanRequest, type Refusal } from "@clusterd/wire";
import { CONTEXT_MIN, plan } from "./plan.ts";
import {
  EXACT_HOSTS_MAX,
  exactGroups,
  greedyGroups,
  hostOf,
  sumOf,
  type BySize,
  type Group,
  type GroupHost,
  type GroupOf,
  type Steps,
} from "./replica-groups.ts";

/** What one replica more must bring in sum for `auto` to want it: less is within what predictions are off by. */
export const REPLICA_GAIN_MIN = 0.15;
/** How much slower than the fastest machine alone a replica of `auto` may be foretold: two machines of one kind measure as far apart. */
export const SLOWER_THAN_ALONE_MAX = 0.1;
/** Where no machine holds the model alone: of the speed of the one fastest placement, what each replica of `auto` must have. */
export const SHARE_OF_FASTEST_MIN = 0.5;

/** The same model on several hosts of their own. */
export interface ReplicaSet {
  readonly feasible: true;
  /** Over disjoint sets of hosts, the fastest first, all with the same context. */
  readonly placements: readonly Placement[];
  /** What they give together: see `rateOf`. */
  readonly tokensPerSecond: number;
}

/**
 * Where to put so many replicas of a model, or as many as are worth it. The sum of their tokens per second is the greatest there is
 * among few hosts, and what two greedy divisions find among more (replica-groups.ts). `auto`: one more while that brings 15 % in sum and
 * no stream is slower for it than one machine alone would make it. To be run to its end: it yields between two plans.
 */
export function* planReplicas(asked: PlanRequest, wanted: number | "auto"): Steps<ReplicaSet | Refusal> {
  if (wanted !== "auto" && (!Number.isInteger(wanted) || wanted < 1 || wanted > REPLICAS_MAX))
    throw new ClusterdError("usage", `There may be 1 to ${REPLICAS_MAX} replicas.`, { param: "replicas" });
  const single = plan(asked);
  yield;
  // Speeds compare where as much context is read.
  const request = single.feasible ? { ...asked, contextTokensRead: single.costs.contextTokensRead } : asked;
  if (!single.feasible || wanted === 1) return single.feasible ? setOf([groupOf(single)]) : single;
  if (request.pins.length > 0 || request.head !== undefined) {
    throw new ClusterdError("usage", "Pins and a head are of one deployment; replicas have hosts of their own each.", {
      next: "Leave out --head and --pin, or --replicas.",
      param: "replicas",
    });
  }
  const hosts = hostsIn(request);
  const countMax = Math.min(REPLICAS_MAX, hosts.filter((host) => host.canHead).length);
  if (wanted === "auto") {
    const here = { ...request, context: single.context };
    const slowest = yield* slowestWanted(here, single, hosts);
    const floor: GroupOf = (names) => {
      const group = planGroup(here, names);
      return group !== null && group.placement.predicted.tokensPerSecond >= slowest ? group : null;
    };
    return setOf(worthIt([groupOf(single)], yield* grouped(hosts, countMax, floor)));
  }
  let most = 1;
  for (let context = single.context; ; context = Math.floor(context / 2)) {
    const bySize = yield* grouped(hosts, Math.min(wanted, countMax), (names) => planGroup({ ...request, context }, names));
    const found = bySize[wanted - 1] ?? null;
    if (found !== null) return setOf(found);
    most = Math.max(most, bySize.findLastIndex((groups) => groups !== null) + 1);
    if (request.context !== undefined || context / 2 < CONTEXT_MIN) return refusal(single, hosts, wanted, most);
  }
}

/** Runs steps to their end at once. */
export function runSteps<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** What many streams at once run into, tokens per second: the slowest stage where that was planned for, else one stream's speed. */
function rateOf({ objective, stages, predicted }: Placement): number {
  if (objective !== "throughput") return predicted.tokensPerSecond;
  return 1000 / Math.max(...stages.map((stage) => stage.computeMs + stage.hopMs));
}

function groupOf(placement: Placement): Group {
  return { placement, rate: rateOf(placement) };
}

function hostsIn({ nodes, without }: PlanRequest): readonly GroupHost[] {
  const hosts = new Map<string, GroupHost>();
  for (const node of nodes) {
    if (without.includes(node.name) || node.memoryBytes <= 0) continue;
    const name = hostOf(node.name);
    const known = hosts.get(name);
    const memoryBytes = (known?.memoryBytes ?? 0) + node.memoryBytes;
    hosts.set(name, { name, memoryBytes, canHead: known?.canHead === true || node.canHead });
  }
  return [...hosts.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function planGroup(request: PlanRequest, hosts: readonly string[]): Group | null {
  const nodes = request.nodes.filter((node) => hosts.includes(hostOf(node.name)));
  const names = new Set(nodes.map((node) => node.name));
  const result = plan({ ...request, nodes, without: request.without.filter((name) => names.has(name)) });
  return result.feasible ? groupOf(result) : null;
}

function grouped(hosts: readonly GroupHost[], countMax: number, group: GroupOf): Steps<BySize> {
  return hosts.length <= EXACT_HOSTS_MAX ? exactGroups(hosts, countMax, group) : greedyGroups(hosts, countMax, group);
}

/** Tokens per second below which a stream is not to fall for the sake of more streams. */
function* slowestWanted(request: PlanRequest, single: Placement, hosts: readonly GroupHost[]): Steps<number> {
  let alone = 0;
  for (const host of hosts) {
    if (!host.canHead) continue;
    const group = planGroup(request, [host.name]);
    yield;
    alone = Math.max(alone, group?.placement.predicted.tokensPerSecond ?? 0);
  }
  return alone > 0 ? alone * (1 - SLOWER_THAN_ALONE_MAX) : single.predicted.tokensPerSecond * SHARE_OF_FASTEST_MIN;
}

/** As many as serve more in sum than fewer do. */
function worthIt(single: readonly Group[], bySize: BySize): readonly Group[] {
  return bySize.slice(1).reduce<readonly Group[]>((best, groups) => {
    return groups !== null && sumOf(groups) >= sumOf(best) * (1 + REPLICA_GAIN_MIN) ? groups : best;
  }, single);
}

function setOf(groups: readonly Group[]): ReplicaSet {
  const fastest = [...groups].sort((a, b) => b.rate - a.rate || (a.placement.head < b.placement.head ? -1 : 1));
  return { feasible: true, placements: fastest.map(({ placement }) => placement), tokensPerSecond: sumOf(groups) };
}

function refusal(single: Placement, hosts: readonly GroupHost[], wanted: number, most: number): Refusal {
  const one = single.stages.reduce((sum, stage) => sum + stage.memoryBytes, 0);
  const bytesAvailable = hosts.reduce((sum, host) => sum + host.memoryBytes, 0);
  const heads = hosts.filter((host) => host.canHead).length;
  const fewHeads = heads < wanted;
  const why = fewHeads
    ? `${wanted} replicas need ${wanted} heads of their own, and ${heads} of the machines have the model's file and room for it.`
    : `${wanted} replicas do not fit: every one needs machines of its own that hold the whole model. ${most === 1 ? "One fits" : `${most} fit`}.`;
  return {
    feasible: false,
    reason: fewHeads ? "head" : "memory",
    bytesNeeded: one * wanted,
    bytesAvailable,
    shortByBytes: Math.max(0, one * wanted - bytesAvailable),
    suggestions: [
      ...(most > 1 ? [`Load ${most} replicas: --replicas ${most}.`] : []),
      fewHeads ? "Put the model's file on more nodes." : "Add a machine, or take a shorter context or a smaller KV type.",
    ],
    why: [why],
  };
}
