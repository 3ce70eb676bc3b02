import type { Facts } from "./facts.ts";

/** `wrong`: something does not work, or not as it should. `hint`: it works and could do better. */
export type FindingLevel = "wrong" | "hint";

/** What keeps a machine or cluster from working well: what, where, why it matters, and what to do next. */
export interface Found {
  readonly level: FindingLevel;
  readonly where: string;
  readonly what: string;
  readonly why: string;
  readonly next: string;
}

/** One look at some of the facts. Pure. */
export interface Check {
  readonly name: string;
  /** What it is about, for people. */
  readonly title: string;
  readonly needs: readonly (keyof Facts)[];
  find(facts: Partial<Facts>): readonly Found[];
}

/** A check with what it needs, which is there when it is asked. */
export function check<const Key extends keyof Facts>(row: {
  readonly name: string;
  readonly title: string;
  readonly needs: readonly Key[];
  find(facts: Pick<Facts, Key>): readonly Found[];
}): Check {
  return { ...row, find: (facts) => row.find(facts as Pick<Facts, Key>) };
}

export const wrong = (where: string, what: string, why: string, next: string): Found => ({
  level: "wrong",
  where,
  what,
  why,
  next,
});

export const hint = (where: string, what: string, why: string, next: string): Found => ({
  ...wrong(where, what, why, next),
  level: "hint",
});

/** What is not of the cluster is of the machine that asks. */
export const HERE = "this machine";
