import type { DeploymentId } from "@clusterd/wire";

/** A request that has been given its replica is there after this; what is not then was refused on the way, or answered otherwise. */
const EXPECTED_MS_MAX = 1_000;
const EXPECTED_MAX = 1_024;

/**
 * Requests between the choice of their replica and their arrival there: without these, requests that come at the same moment would all find
 * the same replica idle.
 */
export interface ExpectedWork {
  expect(deployment: DeploymentId): void;
  /** One of them has come, or one that was not expected. */
  came(deployment: DeploymentId): void;
  at(deployment: DeploymentId): number;
}

export function createExpectedWork(nowMs: () => number): ExpectedWork {
  /** Until when each is expected, the earliest first. */
  const expected = new Map<DeploymentId, number[]>();
  const current = (deployment: DeploymentId): number[] => {
    const left = (expected.get(deployment) ?? []).filter((untilMs) => untilMs > nowMs());
    if (left.length === 0) expected.delete(deployment);
    else expected.set(deployment, left);
    return left;
  };
  return {
    expect(deployment) {
      const left = current(deployment);
      expected.set(deployment, [...left, nowMs() + EXPECTED_MS_MAX].slice(-EXPECTED_MAX));
    },
    came: (deployment) => void current(deployment).shift(),
    at: (deployment) => current(deployment).length,
  };
}
