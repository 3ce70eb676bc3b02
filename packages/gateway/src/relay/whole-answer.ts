import { ClusterdError } from "@clusterd/wire";
import { isObject, type JsonObject } from "../json-body.ts";
import { ENGINE_ANSWER_BYTES_MAX } from "../limits.ts";
import type { ChoiceJob } from "../request/generation-request.ts";
import { createUsageSum, mergeAnswers } from "./choice-merge.ts";
import { askEngine, brokenExchange, readText, type Exchange } from "./engine-exchange.ts";
import { eachLimited } from "./each-limited.ts";
import { countsOf, type TokenCounts } from "./token-counts.ts";

/** An answer that does not stream: its JSON text, and its tokens where the engine counted them. */
export interface WholeAnswer {
  readonly text: string;
  readonly counts: TokenCounts | null;
}

/** Generates every choice of a request, and fails as a whole where one of them fails. */
export async function wholeAnswer(exchange: Exchange, signal: AbortSignal): Promise<WholeAnswer> {
  const { jobs } = exchange.request;
  const only = jobs.length === 1 ? jobs[0] : undefined;
  if (only !== undefined) {
    const { text, json } = await answerOf(exchange, only, signal);
    return { text, counts: countsOf(json) };
  }
  const usage = createUsageSum();
  const answers: JsonObject[] = [];
  const others = new AbortController();
  const either = AbortSignal.any([signal, others.signal]);
  try {
    await eachLimited(jobs, exchange.route.slots, async (job, at) => {
      const { json } = await answerOf(exchange, job, either);
      answers[at] = json;
      const counts = countsOf(json);
      if (counts !== null) usage.add(job, counts);
    });
  } catch (error) {
    others.abort();
    throw error;
  }
  return { text: JSON.stringify(mergeAnswers(jobs, answers, usage)), counts: usage.counts };
}

async function answerOf(exchange: Exchange, job: ChoiceJob, signal: AbortSignal): Promise<{ text: string; json: JsonObject }> {
  const answer = await askEngine(exchange, { ...job.body, model: exchange.route.model, stream: false }, signal);
  let text: string;
  try {
    text = await readText(answer, ENGINE_ANSWER_BYTES_MAX);
  } catch (error) {
    throw await brokenExchange(exchange, error, signal);
  }
  const json = parsed(text);
  if (json === null) {
    const garbled = new ClusterdError(
      "engine_crashed",
      `The engine of ${exchange.route.model} gave an answer that cannot be read.`,
    );
    throw await brokenExchange(exchange, garbled, signal);
  }
  return { text, json };
}

function parsed(text: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) && Array.isArray(value["choices"]) ? value : null;
  } catch {
    return null;
  }
}
