import type { DeploymentView } from "@clusterd/wire";

const PROMPTS_DEFAULT: readonly number[] = [128, 512, 2_048];
const TOKENS_DEFAULT = 64;
const TOKENS_MIN = 16;
const STREAMS_DEFAULT_MAX = 4;
/** What one measurement may take by the plan, where nobody has asked for a size. */
const MEASUREMENT_MS_MAX = 30_000;
/** Kept of a slot's context: prompts are as long as their words make them, by and large. */
const CONTEXT_SHARE_MAX = 0.9;

export interface BenchWish {
  readonly prompts: readonly number[] | null;
  readonly tokens: number | null;
  readonly streams: number | null;
}

/** What is measured in each round. */
export interface BenchPlan {
  /** Prompt lengths, in tokens. */
  readonly prompts: readonly number[];
  /** Of each answer. */
  readonly tokens: number;
  /** How many answers at a time: one, and several where there are slots for them. */
  readonly streams: readonly number[];
  /** What was left out, and why. */
  readonly notes: readonly string[];
}

type Deployed = Pick<DeploymentView, "context" | "slots" | "predictedTokensPerSecond" | "prediction">;

/** The prediction of a plan for a prompt of another length: time to the first token grows with it. Milliseconds. */
export function predictedFirstTokenMs({ prediction }: Pick<DeploymentView, "prediction">, promptTokens: number): number | null {
  const { timeToFirstTokenMs, promptTokens: of } = prediction;
  return timeToFirstTokenMs === null || of === 0 ? null : (timeToFirstTokenMs * promptTokens) / of;
}

/** Sizes that the context holds and that take a bearable time by the plan. `slots`: of all replicas. */
export function planBench(deployed: Deployed, slots: number, wish: BenchWish): BenchPlan {
  const { context, predictedTokensPerSecond } = deployed;
  const bearable = Math.floor((predictedTokensPerSecond * MEASUREMENT_MS_MAX) / 1000);
  const room = Math.floor(context * CONTEXT_SHARE_MAX);
  const tokens = Math.max(
    1,
    Math.min(wish.tokens ?? Math.max(TOKENS_MIN, Math.min(TOKENS_DEFAULT, bearable)), Math.floor(room / 2)),
  );
  const longest = room - tokens;
  const wished = wish.prompts ?? PROMPTS_DEFAULT;
  const fitting = wished.filter((length) => length <= longest);
  const inTime = fitting.filter(
    (length, index) =>
      wish.prompts !== null || index === 0 || (predictedFirstTokenMs(deployed, length) ?? 0) <= MEASUREMENT_MS_MAX,
  );
  const tooLong = wished.filter((length) => !fitting.includes(length));
  const tooSlow = fitting.filter((length) => !inTime.includes(length));
  const several = wish.streams ?? Math.min(slots, STREAMS_DEFAULT_MAX);
  return {
    prompts: inTime.length > 0 ? inTime : [Math.max(1, Math.min(longest, wished[0] ?? longest))],
    tokens,
    streams: several > 1 ? [1, several] : [1],
    notes: [
      ...(tooLong.length > 0 ? [`Prompts of ${tooLong.join(" and ")} tokens are left out: a slot has ${context}.`] : []),
      ...(tooSlow.length > 0
        ? [
            `Prompts of ${tooSlow.join(" and ")} tokens are left out: they would take long (--prompts ${wished.join(",")} has them).`,
          ]
        : []),
      ...(several > slots ? [`${several} streams share ${slots} slot${slots === 1 ? "" : "s"}: some wait for others.`] : []),
      ...(wish.streams === null && slots === 1 ? ["There is one slot: several streams are not measured (load --slots N)."] : []),
    ],
  };
}
