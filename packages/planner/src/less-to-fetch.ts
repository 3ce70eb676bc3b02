import type { PlannerNode, PlanRequest } from "@clusterd/wire";
import type { CostModel } from "./cost.ts";
import { price, type Layout, type Priced } from "./layout.ts";
import { NEAR_BEST, type Search } from "./search.ts";
import { gigabytes } from "./suggest.ts";
import { toFetch, type ToFetch } from "./to-fetch.ts";

/** By this share a placement may be slower for the sake of what then need not be fetched. */
export const SLOWER_FOR_LESS = 0.01;
/** So much more of a budget its tightest stage may take. */
export const FULLER_FOR_LESS = 0.05;
/** Changes made at most, one after the other. */
const STEPS_MAX = 64;

interface Found extends Search {
  readonly best: Priced;
}

/**
 * The search's placement, or one about as good for which less has to be fetched: machines exchanged, put elsewhere in the order, or cut
 * elsewhere, as long as that is at most 1 % slower and within what counts as equally fast. Steps downhill, not a search of all: the bytes
 * are few, not proven fewest. Without word of what the machines have on their disks: as it was.
 */
export function lessToFetch(request: PlanRequest, cost: CostModel, search: Found, nodes: readonly PlannerNode[]): Found {
  const lacks = new Map<string, ToFetch>();
  for (const { name, held } of nodes) if (held !== undefined) lacks.set(name, toFetch(request.model, held));
  if (lacks.size < nodes.length) return search;
  const allowed = within(request, cost, search);
  const bytesFor = (layout: Layout): number => fetchedFor(layout, lacks);
  const first = { layout: search.best.layout, bytes: bytesFor(search.best.layout), priced: search.best };
  let best = first;
  for (let step = 0; step < STEPS_MAX && best.bytes > 0; step++) {
    let next = best;
    for (const layout of neighbours(best.layout, request, nodes)) {
      const bytes = bytesFor(layout);
      if (bytes > next.bytes || (bytes === next.bytes && next === best)) continue;
      const priced = allowed(layout);
      if (priced === null || (bytes === next.bytes && priced.msPerToken >= next.priced.msPerToken)) continue;
      next = { layout, bytes, priced };
    }
    if (next === best) break;
    best = next;
  }
  return best === first ? search : chosenInstead(search, best.priced, first.bytes, best.bytes);
}

/** Prices what may stand in for the search's placement; null for what is too slow, too tight, or not as it was asked for. */
function within(request: PlanRequest, cost: CostModel, search: Found): (layout: Layout) => Priced | null {
  const { objective, pins } = request;
  const msOf = ({ stages, msPerToken }: Priced): number =>
    objective === "throughput" ? Math.max(...stages.map((stage) => stage.computeMs + stage.hopMs)) : msPerToken;
  const found = msOf(search.best);
  const proven = search.optimal ? Math.max(found, search.lowerBoundMs * (1 + NEAR_BEST)) : Infinity;
  const msMax = Math.min(found * (1 + SLOWER_FOR_LESS), proven);
  const headroom = search.best.headroom - FULLER_FOR_LESS;
  return (layout) => {
    const priced = price(cost, request.links, layout);
    if (priced === null || msOf(priced) > msMax || priced.headroom < headroom) return null;
    const kept = pins.every((pin) =>
      priced.stages.some(
        ({ node, firstLayer, lastLayer }) => node === pin.node && firstLayer === pin.firstLayer && lastLayer === pin.lastLayer,
      ),
    );
    return kept ? priced : null;
  };
}

function fetchedFor({ head, shares }: Layout, lacks: ReadonlyMap<string, ToFetch>): number {
  let firstLayer = 0;
  let bytes = lacks.get(head.name)?.({ firstLayer: 0, lastLayer: -1, isHead: true }) ?? 0;
  for (const { node, count } of shares) {
    bytes += lacks.get(node.name)?.({ firstLayer, lastLayer: firstLayer + count - 1, isHead: false }) ?? 0;
    firstLayer += count;
  }
  return bytes;
}

/** The placements that differ from this one by two machines exchanged, one moved in the order, or one boundary. */
function* neighbours(layout: Layout, request: PlanRequest, nodes: readonly PlannerNode[]): Generator<Layout> {
  const { head, shares } = layout;
  const canHead = ({ name, canHead: can }: PlannerNode): boolean => can && (request.head === undefined || request.head === name);
  const used = [...new Set([head, ...shares.map(({ node }) => node)])];
  for (const [index, a] of used.entries()) {
    for (const b of [...used.slice(index + 1), ...nodes.filter((node) => !used.includes(node))]) {
      const swapped = (node: PlannerNode): PlannerNode => (node === a ? b : node === b ? a : node);
      if (!canHead(swapped(head))) continue;
      const places = shares.map(({ node, count }) => ({ node: swapped(node), count }));
      // With the objective `spread` each machine's number of layers is its own.
      if (request.objective !== "spread") yield { head: swapped(head), shares: places };
      const countOf = new Map(shares.map(({ node, count }) => [node, count]));
      yield { head: swapped(head), shares: places.map(({ node, count }) => ({ node, count: countOf.get(node) ?? count })) };
    }
  }
  const own = shares[0]?.node === head ? 1 : 0;
  for (let from = own; from < shares.length; from++) {
    for (let to = own; to < shares.length; to++) {
      const moved = shares[from];
      if (moved === undefined || from === to) continue;
      yield { head, shares: shares.toSpliced(from, 1).toSpliced(to, 0, moved) };
    }
  }
  if (request.objective === "spread") return;
  for (const [index, { node, count }] of shares.entries()) {
    const after = shares[index + 1];
    if (after === undefined) continue;
    for (let more = 1 - count; more < after.count; more++) {
      if (more === 0) continue;
      const cut = [
        { node, count: count + more },
        { node: after.node, count: after.count - more },
      ];
      yield { head, shares: shares.toSpliced(index, 2, ...cut) };
    }
  }
}

function chosenInstead(search: Found, best: Priced, bytesBefore: number, bytes: number): Found {
  const machines = ({ layout, stages }: Priced): string =>
    [layout.head.name, ...stages.map(({ node }) => node).toSorted()].join("\n");
  const slower = best.msPerToken / search.best.msPerToken - 1;
  const price = slower < 0.0005 ? "" : `, ${(slower * 100).toFixed(1)} % slower`;
  const note = `Layers stay where they lie on disks already: ${gigabytes(bytes)} are to be fetched, not ${gigabytes(bytesBefore)}${price}.`;
  const same = machines(best) === machines(search.best);
  const others = same
    ? search.alternatives
    : [search.best, ...search.alternatives.filter((other) => machines(other) !== machines(best))];
  const left = search.best.stages.filter(({ node }) => !best.stages.some((stage) => stage.node === node));
  return {
    ...search,
    best,
    runnerUp: same ? search.runnerUp : search.best,
    alternatives: others.slice(0, Math.max(search.alternatives.length, 0)),
    unused: new Map([
      ...search.unused,
      ...left.map(
        ({ node }) =>
          [node, { why: "as fast, but more would have to be fetched", msPerTokenIfUsed: search.best.msPerToken }] as const,
      ),
    ]),
    method: `${search.method}; of those about as fast, one that has little to fetch`,
    notes: [...search.notes, note],
  };
}
