import type { Objective, PlanStage, ProposalView } from "@clusterd/wire";

/** A change worth less than this share of today's speed is not proposed. */
export const GAIN_PROPOSED = 0.15;
/** A proposal stands until what it would win falls below this. */
export const GAIN_WITHDRAWN = 0.1;
/** Looks in a row at which a change must be worth it: links and bandwidths are noisy. */
export const LOOKS_TO_PROPOSE = 3;

/** What the looks so far have found of one deployment. */
export interface ProposalRecord {
  readonly looks: number;
  readonly proposal: ProposalView | null;
}

export const NOTHING_PROPOSED: ProposalRecord = { looks: 0, proposal: null };

/**
 * The record after another look, which found `found` as the best placement for now (null: the deployed one is). A change is proposed once
 * it was worth `GAIN_PROPOSED` at three looks in a row; a standing proposal follows the figures until it falls below `GAIN_WITHDRAWN`.
 */
export function afterLook(record: ProposalRecord, found: ProposalView | null): ProposalRecord {
  if (found === null) return NOTHING_PROPOSED;
  if (record.proposal !== null) return found.gain < GAIN_WITHDRAWN ? NOTHING_PROPOSED : { ...record, proposal: found };
  if (found.gain < GAIN_PROPOSED) return NOTHING_PROPOSED;
  const looks = record.looks + 1;
  return { looks, proposal: looks >= LOOKS_TO_PROPOSE ? found : null };
}

/** What an objective is measured by, in milliseconds: a token's time, or for `throughput` the slowest stage's; null: not by time. */
export function objectiveMs(
  objective: Objective,
  plan: { readonly stages: readonly PlanStage[]; readonly msPerToken: number },
): number | null {
  if (objective === "spread") return null;
  if (objective === "latency") return plan.msPerToken;
  return Math.max(...plan.stages.map((stage) => stage.computeMs + stage.hopMs));
}
