import { createHash } from "node:crypto";
import type { DeploymentId, DeploymentPhase } from "@clusterd/wire";

/** A deployment of the model that a request names. */
export interface Replica {
  readonly deployment: DeploymentId;
  readonly phase: DeploymentPhase;
  /** Headed by this node. */
  readonly isOwn: boolean;
  /** Its head is not heard of at the moment. */
  readonly isSuspect: boolean;
  readonly slots: number;
  /** Requests with a turn or waiting for one. */
  readonly work: number;
  /** Of one stream. */
  readonly tokensPerSecond: number;
}

/** Phases in which it answers, or will soon, the best first. */
const PHASES: readonly DeploymentPhase[] = ["ready", "recovering", "loading", "fetching", "planning", "draining", "failed"];
/**
 * A conversation leaves the replica that has its beginning in the cache only where it would have to wait there, and elsewhere by so much
 * less: half of the slots' work. To wait for others' answers takes longer than to read a prompt anew.
 */
export const LEAVE_LOAD = 0.5;
/** Replicas this much slower than the fastest count as equally fast. */
const EQUAL_SPEED = 0.1;

/**
 * The replica for a request. Of those that are ready, heads not heard of last: the one that had the conversation before (`warm`), while it
 * has a free slot or no other would have it wait much less; else this node's own, if it has a free slot; else the one with the least work
 * per slot, and of equal ones the faster. Equally fast ones share conversations out by the conversation's own hash, so that all nodes
 * choose alike without knowing of each other's choice. Null where there is none.
 */
export function chooseReplica<Candidate extends Replica>(
  replicas: readonly Candidate[],
  warm: DeploymentId | null,
  conversation: string | null,
): Candidate | null {
  const rank = ({ phase, isSuspect }: Replica): number => PHASES.indexOf(phase) * 2 + (isSuspect ? 1 : 0);
  const best = Math.min(...replicas.map(rank));
  const able = replicas.filter((replica) => rank(replica) === best);
  const leastLoad = Math.min(...able.map(loadOf));
  const known = able.find((replica) => replica.deployment === warm);
  if (known !== undefined && (loadOf(known) < 1 || loadOf(known) < leastLoad + LEAVE_LOAD)) return known;
  const own = able.find((replica) => replica.isOwn && loadOf(replica) < 1);
  if (own !== undefined) return own;
  const idlest = able.filter((replica) => loadOf(replica) === leastLoad);
  const fastest = Math.max(...idlest.map((replica) => replica.tokensPerSecond));
  const equal = idlest.filter((replica) => replica.tokensPerSecond >= fastest * (1 - EQUAL_SPEED));
  const weighed = equal.map((replica) => ({ replica, weight: weightOf(replica.deployment, conversation) }));
  return weighed.sort((a, b) => (a.weight < b.weight ? -1 : 1))[0]?.replica ?? null;
}

/** Work per slot: below 1 there is a free one. */
function loadOf({ work, slots }: Replica): number {
  return work / Math.max(1, slots);
}

/** The place of a replica among equal ones: another order for each conversation, in which only its own replica's loss changes anything. */
function weightOf(deployment: DeploymentId, conversation: string | null): string {
  return conversation === null ? deployment : createHash("sha256").update(`${conversation}\n${deployment}`).digest("hex");
}
