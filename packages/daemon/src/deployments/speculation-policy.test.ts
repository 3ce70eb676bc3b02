import { fc, test } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import {
  acceptanceOf,
  DRAFTED_MIN,
  PLAIN_TOKENS_MIN,
  newSpeculation,
  observeSpeculation,
  PROBE_TOKENS,
  PROBE_TOKENS_MAX,
  speculationGain,
  type SpeculationCosts,
  type SpeculationCounters,
  type SpeculationMemory,
} from "./speculation-policy.ts";

const FREE: SpeculationCosts = { draft: 0, verify: 0 };

/** A pipeline as the policy meets it: the time of a plain step, of a guess and of one more token in a step, and who is right how often. */
interface Pipeline {
  readonly stepSeconds: number;
  readonly guessSeconds: number;
  readonly moreSeconds: number;
  readonly guesses: number;
  readonly acceptance: number;
}

/** So many tokens from it; each guess of a step is right by itself with the acceptance, up to the first that is wrong. */
function tokensFrom(pipeline: Pipeline, tokens: number, active: boolean): SpeculationCounters {
  const { stepSeconds, guessSeconds, moreSeconds, guesses, acceptance } = pipeline;
  if (!active) return { tokens, seconds: tokens * stepSeconds, drafted: 0, accepted: 0 };
  const right = Array.from({ length: guesses }, (_, index) => acceptance ** (index + 1)).reduce((sum, share) => sum + share, 0);
  const steps = tokens / (1 + right);
  return {
    tokens,
    seconds: steps * (stepSeconds + guesses * (guessSeconds + moreSeconds)),
    drafted: steps * guesses,
    accepted: steps * right,
  };
}

function run(pipeline: Pipeline, looks: number, memory: SpeculationMemory, costs = FREE): SpeculationMemory[] {
  const seen: SpeculationMemory[] = [];
  for (let look = 0; look < looks; look += 1) {
    memory = observeSpeculation(memory, tokensFrom(pipeline, 40, memory.active), costs);
    seen.push(memory);
  }
  return seen;
}

const slowLink: Pipeline = { stepSeconds: 0.025, guessSeconds: 0.001, moreSeconds: 0.001, guesses: 8, acceptance: 0.8 };
const badDraft: Pipeline = { ...slowLink, acceptance: 0.02 };
const pipelines = fc.record({
  stepSeconds: fc.double({ min: 0.005, max: 0.5, noNaN: true }),
  guessSeconds: fc.double({ min: 0, max: 0.05, noNaN: true }),
  moreSeconds: fc.double({ min: 0, max: 0.05, noNaN: true }),
  guesses: fc.integer({ min: 1, max: 16 }),
  acceptance: fc.double({ min: 0, max: 1, noNaN: true }),
});

/** How much faster it really is. */
function trueGain(pipeline: Pipeline): number {
  return tokensFrom(pipeline, 100, false).seconds / tokensFrom(pipeline, 100, true).seconds;
}

test.prop([pipelines])("what pays by a tenth ends on, what costs a tenth is off nearly always", (pipeline) => {
  const gain = trueGain(pipeline);
  fc.pre(gain > 1.15 || gain < 0.9);
  const { guesses, acceptance, ...seconds } = pipeline;
  // The costs as a plan would have them, were it right.
  const costs = { draft: seconds.guessSeconds / seconds.stepSeconds, verify: seconds.moreSeconds / seconds.stepSeconds };
  const seen = run(pipeline, 1500, newSpeculation(true), costs).slice(500);
  const share = seen.filter(({ active }) => active).length / seen.length;
  if (gain > 1) expect(share).toBe(1);
  else expect(share).toBeLessThan(0.15);
  expect(acceptanceOf(run(pipeline, 50, newSpeculation(true), costs)[0] ?? newSpeculation(true))).toBeLessThanOrEqual(1);
  expect(guesses * acceptance).toBeGreaterThanOrEqual(0);
});

test.prop([
  fc.array(
    fc.record({
      tokens: fc.nat(500),
      seconds: fc.double({ min: 0, max: 100, noNaN: true }),
      drafted: fc.nat(900),
      accepted: fc.nat(499),
    }),
    { maxLength: 200 },
  ),
])("whatever comes, its waits stay within limits and nothing is not a number", (all) => {
  let memory = newSpeculation(true);
  for (const news of all) {
    const before = memory;
    memory = observeSpeculation(memory, news, { draft: 0.1, verify: 0.1 });
    expect(memory.probeAfterTokens).toBeGreaterThanOrEqual(PLAIN_TOKENS_MIN);
    expect(memory.probeAfterTokens).toBeLessThanOrEqual(PROBE_TOKENS_MAX);
    expect(speculationGain(memory, FREE)).not.toBeNaN();
    // Too little to decide by leaves it as it is.
    if (before.active && before.drafting.drafted + news.drafted < DRAFTED_MIN) expect(memory.active).toBe(true);
  }
});

describe("one deployment", () => {
  test("a good draft stays on, but for the one short pause that tells the plain time", () => {
    const seen = run(slowLink, 300, newSpeculation(true));
    expect(seen.filter(({ active }) => !active)).toHaveLength(1);
    expect(seen.every(({ probing }) => !probing)).toBe(true);
    expect(speculationGain(seen.at(-1) ?? newSpeculation(true), FREE)).toBeCloseTo(trueGain(slowLink));
  });

  test.each([
    ["too cheap", badDraft, FREE, false],
    ["too dear", slowLink, { draft: 3, verify: 3 }, true],
  ])("a plan that takes guesses for %s is set right by measured times", (_, pipeline, costs, active) => {
    const seen = run(pipeline, 1500, newSpeculation(true), costs).slice(1000);
    expect(seen.filter((memory) => memory.active === active).length / seen.length).toBeGreaterThan(0.85);
  });

  test("a bad one goes off, is tried ever more seldom, and comes back when the text suits it", () => {
    const seen = run(badDraft, 2000, newSpeculation(true), { draft: 0.04, verify: 0.04 });
    const offAt = seen.findIndex(({ active }) => !active);
    expect(offAt).toBeGreaterThanOrEqual(0);
    expect(offAt).toBeLessThan(5);
    const probes = seen.flatMap(({ probing }, look) => (probing && seen[look - 1]?.probing === false ? [look] : []));
    const waits = probes.map((look, index) => look - (probes[index - 1] ?? offAt));
    expect(waits.length).toBeGreaterThan(3);
    expect(waits.toSorted((a, b) => a - b)).toEqual(waits);
    const last = seen.at(-1) ?? newSpeculation(true);
    const later = run(slowLink, 500, last, { draft: 0.04, verify: 0.04 });
    expect(later.at(-1)).toMatchObject({ active: true, probing: false, probeAfterTokens: PROBE_TOKENS });
  });

  test("what gains a little stays as it is, on or off", () => {
    const costs = { draft: 0.04, verify: 0.04 };
    // 8 guesses of 1 ms and 1 ms more each, on 25 ms: a step costs 1.64, so 1.72 tokens of it gain 5 %.
    const even: Pipeline = { ...slowLink, acceptance: 0.4225 };
    expect(trueGain(even)).toBeGreaterThan(1.03);
    expect(trueGain(even)).toBeLessThan(1.08);
    expect(run(even, 300, newSpeculation(true), costs).at(-1)?.active).toBe(true);
    const off = { ...newSpeculation(true), active: false };
    const share = run(even, 1000, off, costs).filter(({ active }) => active).length / 1000;
    expect(share).toBeLessThan(0.2);
  });

  test("n-grams that find nothing cost nothing and stay", () => {
    const seen = run({ ...slowLink, guesses: 0 }, 300, newSpeculation(true));
    expect(seen.every(({ active }) => active)).toBe(true);
    expect(acceptanceOf(seen.at(-1) ?? newSpeculation(true))).toBeNull();
  });

  test("before anything is measured, the expected gain is of acceptance and costs", () => {
    const drafting = { tokens: 400, seconds: 10, drafted: 800, accepted: 300 };
    const memory = { ...newSpeculation(true), drafting };
    // 100 steps of 4 tokens, 8 guesses each.
    expect(speculationGain(memory, FREE)).toBeCloseTo(4);
    expect(speculationGain(memory, { draft: 0.1, verify: 0.025 })).toBeCloseTo(2);
    expect(acceptanceOf(memory)).toBeCloseTo(3 / 8);
  });
});
