import { ClusterdError, type ClusterState, type DeploymentView } from "@clusterd/wire";
import type { Client } from "../api/client.ts";
import { findDeployments } from "../model-ref.ts";
import { planBench, predictedFirstTokenMs, type BenchPlan, type BenchWish } from "./bench-plan.ts";
import { undisturbed, type Sample, type Spread } from "./figures.ts";
import { measureRequest, type Measured } from "./measure-request.ts";
import { watchOthers } from "./others-watch.ts";
import { promptText } from "./prompt-text.ts";

/** Words of the request that warms up and tells how many tokens a word has. */
const WARM_WORDS = 48;
/** A model that ends its answer early is asked again, so often. */
const ASKS_MAX = 4;
/** Before an answer of which only the speed of its tokens counts. */
const DECODE_PROMPT_TOKENS = 32;

export interface PromptFigures {
  readonly promptTokens: number;
  readonly promptTokensPerSecond: Spread | null;
  readonly timeToFirstTokenMs: Spread | null;
  readonly predictedTimeToFirstTokenMs: number | null;
}

export interface DecodeFigures {
  readonly streams: number;
  /** Of all streams together. */
  readonly tokensPerSecond: Spread | null;
  /** The plan's, of one stream without guesses. */
  readonly predictedTokensPerSecond: number | null;
  /** Of the guesses that speculation made, those that were right; null: it made none. */
  readonly guessesAccepted: number | null;
}

/** What was measured of one model. Figures are medians over the rounds, with the lowest and the highest. */
export interface BenchResult {
  readonly model: string;
  readonly replicas: number;
  readonly rounds: number;
  readonly tokensPerAnswer: number;
  readonly prompts: readonly PromptFigures[];
  readonly decode: readonly DecodeFigures[];
  /** As the state tells of them afterwards. */
  readonly deployments: readonly DeploymentView[];
  /** Measurements during which others were served as well, of all. */
  readonly disturbed: { readonly measurements: number; readonly of: number };
  readonly notes: readonly string[];
}

export interface BenchOptions {
  readonly client: Client;
  readonly state: ClusterState;
  readonly deployments: readonly DeploymentView[];
  readonly wish: BenchWish;
  readonly rounds: number;
  readonly signal: AbortSignal;
  readonly random: () => number;
  onProgress(progress: { readonly done: number; readonly of: number; readonly what: string }): void;
}

/** Rounds in which each measurement has its turn, so that what changes meanwhile falls on all of them. */
export async function runBench(options: BenchOptions): Promise<BenchResult> {
  const { client, state, wish, rounds, signal, random, onProgress } = options;
  const [first] = options.deployments;
  if (first === undefined) throw new ClusterdError("failed", "There is nothing to measure.");
  const { model } = first;
  const slots = options.deployments.reduce((sum, view) => sum + view.slots, 0);
  const plan = planBench(first, slots, wish);
  const ask = (words: number, tokens: number): Promise<Measured | null> =>
    measureRequest(client, { model, prompt: promptText(words, random), tokens }, signal);

  onProgress({ done: 0, of: 1, what: "warming up" });
  const warm = await ask(WARM_WORDS, plan.tokens);
  const tokensPerWord = warm === null || warm.promptTokens === 0 ? 1 : warm.promptTokens / WARM_WORDS;
  const wordsFor = (tokens: number): number => Math.max(1, Math.floor(tokens / tokensPerWord));

  using others = watchOthers(client, model, state, signal);
  const table = measurements(plan);
  const all = new Map(table.map((row) => [row, new Array<Outcome>()]));
  let done = 0;
  for (let round = 0; round < rounds; round++) {
    for (const row of table) {
      onProgress({ done, of: rounds * table.length, what: row.what });
      const { result, disturbed } = await others.during(row.streams, () => measureRow(row, plan, wordsFor, ask));
      all.get(row)?.push({ ...result, disturbed });
      done += 1;
    }
  }
  const outcomes = [...all.values()].flat();
  const after = findDeployments(await client.state(), model);
  const of = (streams: boolean): readonly (readonly [Row, readonly Outcome[]])[] =>
    [...all].filter(([row]) => (row.promptTokens === null) === streams);
  return {
    model,
    replicas: options.deployments.length,
    rounds,
    tokensPerAnswer: plan.tokens,
    prompts: of(false).map(([, rows]) => promptFigures(first, rows)),
    decode: of(true).map(([{ streams }, rows]) => decodeFigures(first, streams, rows)),
    deployments: after,
    disturbed: { measurements: outcomes.filter(({ disturbed }) => disturbed).length, of: outcomes.length },
    notes: [
      ...plan.notes,
      ...(outcomes.some(({ answers }) => answers.some(({ guessed }) => guessed > 0))
        ? ["Some tokens were guessed ahead, which the prediction leaves out: text that repeats itself comes faster than other."]
        : []),
    ],
  };
}

interface Row {
  readonly what: string;
  /** Null: the speed of the answer is measured. */
  readonly promptTokens: number | null;
  readonly streams: number;
}

interface Outcome {
  readonly answers: readonly Measured[];
  readonly disturbed: boolean;
}

function measurements({ prompts, streams }: BenchPlan): readonly Row[] {
  return [
    ...prompts.map((promptTokens) => ({ what: `a prompt of ${promptTokens} tokens`, promptTokens, streams: 1 })),
    ...streams.map((count) => ({
      what: count === 1 ? "one answer" : `${count} answers at once`,
      promptTokens: null,
      streams: count,
    })),
  ];
}

async function measureRow(
  { promptTokens, streams }: Row,
  plan: BenchPlan,
  wordsFor: (tokens: number) => number,
  ask: (words: number, tokens: number) => Promise<Measured | null>,
): Promise<Pick<Outcome, "answers">> {
  if (promptTokens !== null) {
    const one = await ask(wordsFor(promptTokens), 1);
    return { answers: one === null ? [] : [one] };
  }
  const words = wordsFor(DECODE_PROMPT_TOKENS);
  for (let attempt = 1; ; attempt++) {
    const came = await Promise.all(Array.from({ length: streams }, () => ask(words, plan.tokens)));
    const answers = came.flatMap((one) => (one === null || one.tokens < 2 ? [] : [one]));
    // Half of what was asked for is enough for a figure; the last attempt has to do.
    if (attempt === ASKS_MAX || answers.every(({ tokens }) => 2 * tokens >= plan.tokens)) return { answers };
  }
}

function promptFigures(deployed: DeploymentView, rows: readonly Outcome[]): PromptFigures {
  const answers = rows.flatMap(({ answers: [one], disturbed }) => (one === undefined ? [] : [{ one, disturbed }]));
  const promptTokens = Math.round(answers.reduce((sum, { one }) => sum + one.promptTokens, 0) / Math.max(1, answers.length));
  const rates = answers.map(({ one, disturbed }): Sample => {
    const { tokens, ms } = one.worked ?? { tokens: one.promptTokens, ms: one.firstMs - one.sentMs };
    return { value: (1000 * tokens) / ms, disturbed };
  });
  return {
    promptTokens,
    promptTokensPerSecond: undisturbed(rates),
    timeToFirstTokenMs: undisturbed(answers.map(({ one, disturbed }) => ({ value: one.firstMs - one.sentMs, disturbed }))),
    predictedTimeToFirstTokenMs: predictedFirstTokenMs(deployed, promptTokens),
  };
}

/** Tokens after each stream's first, over the time from the first one's first to the last one's last. */
export function decodeRate(answers: readonly Pick<Measured, "tokens" | "firstMs" | "lastMs">[]): number {
  const ms = Math.max(...answers.map(({ lastMs }) => lastMs)) - Math.min(...answers.map(({ firstMs }) => firstMs));
  return (1000 * answers.reduce((sum, { tokens }) => sum + tokens - 1, 0)) / ms;
}

function decodeFigures(deployed: DeploymentView, streams: number, rows: readonly Outcome[]): DecodeFigures {
  const answers = rows.flatMap((row) => row.answers);
  const guessed = answers.reduce((sum, one) => sum + one.guessed, 0);
  const rates = rows
    .filter((row) => row.answers.length === streams)
    .map((row) => ({ value: decodeRate(row.answers), disturbed: row.disturbed }));
  return {
    streams,
    tokensPerSecond: undisturbed(rates),
    predictedTokensPerSecond: streams === 1 ? deployed.predictedTokensPerSecond : null,
    guessesAccepted: guessed === 0 ? null : answers.reduce((sum, one) => sum + one.accepted, 0) / guessed,
  };
}
