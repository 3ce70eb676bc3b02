import { isObject, type JsonObject } from "../json-body.ts";
import type { ChoiceJob } from "../request/generation-request.ts";
import { countsOf, type TokenCounts } from "./token-counts.ts";

/** Adds up the tokens of a request's choices; a prompt that several choices share counts once. */
export interface UsageSum {
  add(job: ChoiceJob, counts: TokenCounts): void;
  readonly counts: TokenCounts;
}

export function createUsageSum(): UsageSum {
  let prompt = 0;
  let completion = 0;
  return {
    add(job, counts) {
      if (job.countsPrompt) prompt += counts.prompt;
      completion += counts.completion;
    },
    get counts() {
      return { prompt, completion };
    },
  };
}

export function usageJson({ prompt, completion }: TokenCounts): JsonObject {
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}

function withIndex(answer: JsonObject, index: number): readonly unknown[] {
  const { choices } = answer;
  return Array.isArray(choices) ? choices.map((choice: unknown) => (isObject(choice) ? { ...choice, index } : choice)) : [];
}

/** Several answers of the engine, one choice each, as the one answer that was asked for. */
export function mergeAnswers(jobs: readonly ChoiceJob[], answers: readonly JsonObject[], usage: UsageSum): JsonObject {
  const { timings: _, ...first } = answers[0] ?? {};
  return {
    ...first,
    choices: jobs.flatMap((job, at) => withIndex(answers[at] ?? {}, job.index)),
    usage: usageJson(usage.counts),
  };
}

/**
 * Chunks of several streams as chunks of one: the place of the choice set right, one id, and the tokens of each kept for
 * their sum at the end.
 */
export function createChunkMerge(usage: UsageSum): {
  /** The chunk to send; `null` where it bore nothing but its count. */
  chunk(job: ChoiceJob, event: JsonObject): JsonObject | null;
  /** The last chunk, with the sum; `null` where no chunk has come. */
  last(): JsonObject | null;
} {
  let head: JsonObject | null = null;
  return {
    chunk(job, event) {
      const { usage: counted, timings, ...rest } = event;
      const { choices: _, ...shared } = rest;
      head ??= shared;
      const counts = countsOf({ usage: counted, timings });
      if (counts !== null) usage.add(job, counts);
      const choices = withIndex(rest, job.index);
      return choices.length === 0 ? null : { ...rest, ...head, choices };
    },
    last() {
      return head === null ? null : { ...head, choices: [], usage: usageJson(usage.counts) };
    },
  };
}
