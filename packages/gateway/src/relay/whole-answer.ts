import { ClusterdError } from "@clusterd/wire";
import { isObject, type JsonObject } from "../json-body.ts";
import { ENGINE_ANSWER_BYTES_MAX } from "../limits.ts";
import type { ChoiceJob } from "../request/generation-request.ts";
import { createUsageSum, mergeAnswers } from "./choice-merge.ts";
import { eachLimited } from "./each-limited.ts";
import { eventJson } from "./engine-events.ts";
import { askEngine, brokenExchange, readText, type Exchange } from "./engine-exchange.ts";
import { pumpEvents } from "./event-pump.ts";
import { countsOf, type TokenCounts } from "./token-counts.ts";

export interface WholeOptions {
  readonly signal: AbortSignal;
  readonly silenceMsMax: number;
  /** Told of every chunk with a token. */
  readonly onChunk: () => void;
}

/** An answer that does not stream, and its tokens where the engine counted them. */
export interface WholeAnswer {
  readonly json: JsonObject;
  readonly counts: TokenCounts | null;
}

/** Generates every choice of a request, and fails as a whole where one of them fails. */
export async function wholeAnswer(exchange: Exchange, options: WholeOptions): Promise<WholeAnswer> {
  const { jobs } = exchange.request;
  const only = jobs.length === 1 ? jobs[0] : undefined;
  if (only !== undefined) {
    const json = await answerOf(exchange, only, { ...options, more: false });
    return { json: exchange.request.form.whole(json), counts: countsOf(json) };
  }
  const usage = createUsageSum();
  const answers: JsonObject[] = [];
  const others = new AbortController();
  const signal = AbortSignal.any([options.signal, others.signal]);
  try {
    await eachLimited(jobs, exchange.route.slots, async (job, at) => {
      const json = await answerOf(exchange, job, { ...options, signal, more: at > 0 });
      answers[at] = json;
      const counts = countsOf(json);
      if (counts !== null) usage.add(job, counts);
    });
  } catch (error) {
    others.abort();
    throw error;
  }
  return { json: exchange.request.form.whole(mergeAnswers(jobs, answers, usage)), counts: usage.counts };
}

type JobOptions = WholeOptions & { readonly more: boolean };

/** The engine streams no log-probabilities beside tools; that one wish takes the answer at once. */
function answerOf(exchange: Exchange, job: ChoiceJob, options: JobOptions): Promise<JsonObject> {
  const atOnce = exchange.request.makes === "embeddings" || (job.body["logprobs"] === true && job.body["tools"] !== undefined);
  return atOnce ? answerAtOnce(exchange, job, options) : answerFromStream(exchange, job, options);
}

async function answerFromStream(exchange: Exchange, job: ChoiceJob, options: JobOptions): Promise<JsonObject> {
  const body = { ...job.body, model: exchange.route.model, stream: true, stream_options: { include_usage: true } };
  const response = await askEngine(exchange, body, options);
  const assembly = exchange.request.form.assembly();
  const reshape = job.reshape?.() ?? null;
  await pumpEvents(exchange, response, options, (event) => {
    if (event.kind === "comment") return;
    options.onChunk();
    const chunk = eventJson(event);
    if (isObject(chunk)) assembly.add(reshape?.(chunk) ?? chunk);
  });
  return assembly.answer();
}

async function answerAtOnce(exchange: Exchange, job: ChoiceJob, options: JobOptions): Promise<JsonObject> {
  const { signal } = options;
  const response = await askEngine(exchange, { ...job.body, model: exchange.route.model, stream: false }, options);
  try {
    const json: unknown = JSON.parse(await readText(response, ENGINE_ANSWER_BYTES_MAX));
    if (isObject(json) && Array.isArray(json["choices"] ?? json["data"])) return json;
    throw new ClusterdError("engine_crashed", `The engine of ${exchange.route.model} gave an answer that cannot be read.`);
  } catch (error) {
    throw await brokenExchange(exchange, error, signal);
  }
}
