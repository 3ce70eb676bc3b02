import type { LinkTable } from "@clusterd/wire";

/** What one message of a step costs between two machines. */
interface Link {
  readonly rttMs: number;
  readonly bytesPerSecond: number;
}

type Neighbours = ReadonlyMap<string, Link>;

/** Every table's pairs by both their ends, made once: a table may name 100,000 pairs. */
const indexes = new WeakMap<LinkTable, ReadonlyMap<string, Neighbours>>();

/** The links of a node that are not as the others: where a pair is given twice, the first counts. */
export function neighboursOf(links: LinkTable, name: string): Neighbours {
  let index = indexes.get(links);
  if (index === undefined) {
    index = indexPairs(links);
    indexes.set(links, index);
  }
  return index.get(name) ?? NONE;
}

const NONE: Neighbours = new Map();

function indexPairs(links: LinkTable): ReadonlyMap<string, Neighbours> {
  const index = new Map<string, Map<string, Link>>();
  const add = (from: string, to: string, link: Link): void => {
    const known = index.get(from) ?? new Map<string, Link>();
    if (!known.has(to)) known.set(to, link);
    index.set(from, known);
  };
  for (const pair of links.pairs) {
    add(pair.a, pair.b, pair);
    add(pair.b, pair.a, pair);
  }
  return index;
}

/** One round trip with a hidden state each way. Milliseconds. */
export function roundTripMs({ rttMs, bytesPerSecond }: Link, hiddenBytes: number): number {
  return rttMs + ((2 * hiddenBytes) / bytesPerSecond) * 1000;
}
