import type { NodeId } from "@clusterd/wire";

/** After a member was first seen: its advert and its address are there by then. */
const FIRST_MS = 2_000;
const FIRST_JITTER_MS = 2_000;
const AGAIN_MS: number = 10 * 60_000;
/** So that members do not fall into step. */
const AGAIN_JITTER_SHARE = 0.2;
/** One of the two was measuring, decoding or loading. */
const BUSY_MS = 1_000;
const BUSY_JITTER_MS = 3_000;
const FAILED_MS = 60_000;
/** However much the heartbeats change, not more often than this. */
const INTERVAL_MS_MIN = 30_000;
/** A heartbeat's round trip is another one by so much, at least. */
const CHANGE_SHARE = 0.5;
const CHANGE_MS = 1;

interface Plan {
  readonly atMs: number;
  readonly measuredMs: number;
  /** Of the heartbeats, when it was measured. */
  readonly heartbeatMs: number | null;
}

/** When which link is measured. Milliseconds of a monotonic clock. */
export interface LinkSchedule {
  /** The member whose turn it is; those seen for the first time are given one, those that are gone lose theirs. */
  due(members: readonly NodeId[], nowMs: number): NodeId | null;
  measured(node: NodeId, nowMs: number): void;
  busy(node: NodeId, nowMs: number): void;
  failed(node: NodeId, nowMs: number): void;
  /** What heartbeats show: where that has changed a lot, the link is another one. */
  heartbeat(node: NodeId, rttMs: number, nowMs: number): void;
}

/** `random` from 0 to 1. */
export function createLinkSchedule(random: () => number = Math.random): LinkSchedule {
  const plans = new Map<NodeId, Plan>();
  const put = (node: NodeId, change: Partial<Plan>): void => {
    const known = plans.get(node);
    if (known !== undefined) plans.set(node, { ...known, ...change });
  };
  return {
    due(members, nowMs) {
      for (const node of plans.keys()) if (!members.includes(node)) plans.delete(node);
      for (const node of members) {
        if (plans.has(node)) continue;
        plans.set(node, { atMs: nowMs + FIRST_MS + random() * FIRST_JITTER_MS, measuredMs: -Infinity, heartbeatMs: null });
      }
      const [first] = [...plans].filter(([, { atMs }]) => atMs <= nowMs).toSorted(([, a], [, b]) => a.atMs - b.atMs);
      return first?.[0] ?? null;
    },
    measured(node, nowMs) {
      const jitter = (2 * random() - 1) * AGAIN_JITTER_SHARE;
      put(node, { atMs: nowMs + AGAIN_MS * (1 + jitter), measuredMs: nowMs, heartbeatMs: null });
    },
    busy: (node, nowMs) => put(node, { atMs: nowMs + BUSY_MS + random() * BUSY_JITTER_MS }),
    failed: (node, nowMs) => put(node, { atMs: nowMs + FAILED_MS }),
    heartbeat(node, rttMs, nowMs) {
      const known = plans.get(node);
      if (known === undefined || known.measuredMs === -Infinity) return;
      if (known.heartbeatMs === null) {
        put(node, { heartbeatMs: rttMs });
        return;
      }
      if (Math.abs(rttMs - known.heartbeatMs) <= Math.max(CHANGE_MS, known.heartbeatMs * CHANGE_SHARE)) return;
      put(node, { atMs: Math.min(known.atMs, Math.max(nowMs, known.measuredMs + INTERVAL_MS_MIN)), heartbeatMs: rttMs });
    },
  };
}
