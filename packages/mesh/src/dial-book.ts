import type { NodeId } from "@clusterd/wire";

const ENTRIES_MAX = 512;
const ADDRESSES_MAX = 16;
/** First wait after a failed dial; doubles up to the longest. */
const RETRY_MS = 1_000;
const RETRY_MS_MAX = 10_000;
/** Somebody of another cluster is not tried again sooner. */
const STRANGER_MS = 60_000;

interface Entry {
  readonly addresses: readonly string[];
  readonly failures: number;
  readonly notBeforeMs: number;
}

/** Where nodes may be reached and when to try again: bounded, the oldest entry makes room. */
export interface DialBook {
  learn(node: NodeId, addresses: readonly string[]): void;
  addressesOf(node: NodeId): readonly string[];
  /** Whether a dial is due now; a dial counts as failed until `succeeded` is said. */
  tryNow(node: NodeId, nowMs: number): boolean;
  succeeded(node: NodeId): void;
  /** Not ours: leave it alone for a while. */
  stranger(node: NodeId, nowMs: number): void;
  soon(node: NodeId): void;
}

export function createDialBook(): DialBook {
  const entries = new Map<NodeId, Entry>();
  const entryOf = (node: NodeId): Entry => entries.get(node) ?? { addresses: [], failures: 0, notBeforeMs: 0 };
  function put(node: NodeId, entry: Entry): void {
    entries.delete(node);
    entries.set(node, entry);
    const [oldest] = entries.keys();
    if (entries.size > ENTRIES_MAX && oldest !== undefined) entries.delete(oldest);
  }
  return {
    learn(node, addresses) {
      const entry = entryOf(node);
      put(node, { ...entry, addresses: [...new Set([...addresses, ...entry.addresses])].slice(0, ADDRESSES_MAX) });
    },
    addressesOf: (node) => entryOf(node).addresses,
    tryNow(node, nowMs) {
      const entry = entryOf(node);
      if (nowMs < entry.notBeforeMs) return false;
      const wait = Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** Math.min(entry.failures, 10)) * (0.75 + Math.random() / 2);
      put(node, { ...entry, failures: entry.failures + 1, notBeforeMs: nowMs + wait });
      return true;
    },
    succeeded: (node) => put(node, { ...entryOf(node), failures: 0, notBeforeMs: 0 }),
    stranger: (node, nowMs) => put(node, { ...entryOf(node), notBeforeMs: nowMs + STRANGER_MS }),
    soon: (node) => put(node, { ...entryOf(node), failures: 0, notBeforeMs: 0 }),
  };
}
