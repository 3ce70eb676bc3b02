import { asNodeId, type PlanStage, type ProposalView } from "@clusterd/wire";
import { expect, test } from "vitest";
import { afterLook, NOTHING_PROPOSED, objectiveMs, type ProposalRecord } from "./replan-policy.ts";

const worth = (gain: number): ProposalView => ({
  head: asNodeId("a"),
  stages: [],
  msDeployed: 10 * (1 + gain),
  msProposed: 10,
  gain,
});
/** What is proposed after each of these looks. */
function gains(looks: readonly (number | null)[]): (number | null)[] {
  let record: ProposalRecord = NOTHING_PROPOSED;
  return looks.map((gain) => {
    record = afterLook(record, gain === null ? null : worth(gain));
    return record.proposal?.gain ?? null;
  });
}

test.each<[string, (number | null)[], (number | null)[]]>([
  ["three good looks in a row", [0.2, 0.2, 0.3], [null, null, 0.3]],
  ["one bad look between begins anew", [0.2, 0.2, 0.14, 0.2, 0.2], [null, null, null, null, null]],
  ["no other placement between begins anew", [0.2, 0.2, null, 0.2], [null, null, null, null]],
  ["just enough is proposed, just less never", [0.15, 0.15, 0.15], [null, null, 0.15]],
  ["a standing one outlives a dip, not a fall", [0.2, 0.2, 0.2, 0.11, 0.2, 0.09, 0.2], [null, null, 0.2, 0.11, 0.2, null, null]],
])("%s", (_, looks, proposed) => expect(gains(looks)).toEqual(proposed));

test("an objective is measured by what it minimises", () => {
  const stage = (computeMs: number, hopMs: number): PlanStage => ({ computeMs, hopMs }) as PlanStage;
  const plan = { stages: [stage(3, 0), stage(5, 2)], msPerToken: 11 };
  expect(objectiveMs("latency", plan)).toBe(11);
  expect(objectiveMs("throughput", plan)).toBe(7);
  expect(objectiveMs("spread", plan)).toBeNull();
});
