/** An engine's own totals. */
export interface SpeculationCounters {
  /** Tokens generated, guessed ones that were right among them, and the seconds they took. */
  readonly tokens: number;
  readonly seconds: number;
  readonly drafted: number;
  readonly accepted: number;
}

/** What guessing costs before anything is measured, as shares of the time of one plain step (one token through all stages). */
export interface SpeculationCosts {
  /** Guessing one token: 0 where nothing is computed for it. */
  readonly draft: number;
  /** One more token in a step. */
  readonly verify: number;
}

/** All that is remembered of a deployment's speculation. */
export interface SpeculationMemory {
  /** Whether requests are speculated for. */
  readonly active: boolean;
  /** Switched on again to see whether it pays by now. */
  readonly probing: boolean;
  /** Sums while tokens were guessed, and while none were; older ones count less and less. */
  readonly drafting: SpeculationCounters;
  readonly plain: SpeculationCounters;
  readonly tokensSinceOff: number;
  /** It is tried again after so many tokens. */
  readonly probeAfterTokens: number;
}

/** Of two observations so many tokens apart, the older counts half. */
export const HALF_LIFE_TOKENS = 1024;
/** Guessed tokens that decide; below, the share that was right is mostly chance. */
export const DRAFTED_MIN = 64;
/** Tokens that came plainly before their time is taken for the plain one. */
export const PLAIN_TOKENS_MIN = 32;
/** Below this nothing was measured. */
const SECONDS_MIN = 1e-6;
/** Guessed tokens after which the plain time is measured, where no plain token has come by itself. */
export const BASELINE_DRAFTED = 256;
/** Off below this gain, on again from that one: between them, what is stays. */
export const OFF_BELOW = 1;
export const ON_FROM = 1.1;
/** First wait before it is tried again, and the longest; it doubles with every try that does not pay. */
export const PROBE_TOKENS = 512;
export const PROBE_TOKENS_MAX = 16_384;

const NOTHING: SpeculationCounters = { tokens: 0, seconds: 0, drafted: 0, accepted: 0 };

export function newSpeculation(active: boolean): SpeculationMemory {
  return {
    active,
    probing: false,
    drafting: NOTHING,
    plain: NOTHING,
    tokensSinceOff: 0,
    probeAfterTokens: PROBE_TOKENS,
  };
}

/** Share of the guessed tokens that were right lately; null while too few were guessed to tell. */
export function acceptanceOf({ drafting }: SpeculationMemory): number | null {
  return drafting.drafted < 1 ? null : drafting.accepted / drafting.drafted;
}

/**
 * How many times faster tokens come with speculation than without: by measured times where both are known, else as expected. Every
 * step gives one token and the guesses that were right, so steps = tokens − accepted; a step with n guesses costs 1 + n (draft + verify)
 * plain ones (after Leviathan et al. 2023, with the acceptance as it is measured instead of a model of it).
 */
export function speculationGain({ drafting, plain }: SpeculationMemory, costs: SpeculationCosts): number {
  if (plain.tokens >= PLAIN_TOKENS_MIN && plain.seconds > SECONDS_MIN && drafting.seconds > SECONDS_MIN)
    return plain.seconds / plain.tokens / (drafting.seconds / drafting.tokens);
  const steps = Math.max(1, drafting.tokens - drafting.accepted);
  return drafting.tokens / steps / (1 + (drafting.drafted / steps) * (costs.draft + costs.verify));
}

/** The memory after one more look at the engine's counters; `news` is what they grew by. Pure. */
export function observeSpeculation(
  before: SpeculationMemory,
  news: SpeculationCounters,
  costs: SpeculationCosts,
): SpeculationMemory {
  if (news.tokens <= 0) return before;
  const memory = {
    ...before,
    ...(news.drafted > 0 ? { drafting: added(before.drafting, news) } : { plain: added(before.plain, news) }),
  };
  return memory.active ? whileActive(memory, costs) : whileOff(memory, news.tokens);
}

function whileActive(memory: SpeculationMemory, costs: SpeculationCosts): SpeculationMemory {
  if (memory.drafting.drafted < DRAFTED_MIN) return memory;
  // Once per engine, early: a short pause tells what a plain token takes. Until then the gain is an expectation.
  if (memory.plain.tokens < PLAIN_TOKENS_MIN && memory.drafting.drafted >= BASELINE_DRAFTED)
    return { ...memory, active: false, tokensSinceOff: 0, probeAfterTokens: PLAIN_TOKENS_MIN };
  const gain = speculationGain(memory, costs);
  if (gain >= (memory.probing ? ON_FROM : OFF_BELOW))
    return memory.probing ? { ...memory, probing: false, probeAfterTokens: PROBE_TOKENS } : memory;
  return {
    ...memory,
    active: false,
    probing: false,
    tokensSinceOff: 0,
    probeAfterTokens: memory.probing ? Math.min(PROBE_TOKENS_MAX, memory.probeAfterTokens * 2) : PROBE_TOKENS,
  };
}

function whileOff(memory: SpeculationMemory, tokens: number): SpeculationMemory {
  const tokensSinceOff = memory.tokensSinceOff + tokens;
  if (tokensSinceOff < memory.probeAfterTokens) return { ...memory, tokensSinceOff };
  // What was guessed then says nothing of the text now. The pause for the plain time was no verdict: nothing to prove after it.
  const probing = memory.probeAfterTokens >= PROBE_TOKENS;
  const probeAfterTokens = Math.max(PROBE_TOKENS, memory.probeAfterTokens);
  return { ...memory, active: true, probing, drafting: NOTHING, tokensSinceOff: 0, probeAfterTokens };
}

function added(sums: SpeculationCounters, news: SpeculationCounters): SpeculationCounters {
  const kept = 0.5 ** (news.tokens / HALF_LIFE_TOKENS);
  return {
    tokens: sums.tokens * kept + news.tokens,
    seconds: sums.seconds * kept + news.seconds,
    drafted: sums.drafted * kept + news.drafted,
    accepted: sums.accepted * kept + news.accepted,
  };
}
