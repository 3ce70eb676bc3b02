import { asRefusal, type HttpRefusal } from "../http-refusal.ts";
import { isObject, type JsonObject } from "../json-body.ts";
import type { ChoiceJob } from "../request/generation-request.ts";
import type { StreamWriter } from "./answer-form.ts";
import { createChunkMerge, createUsageSum } from "./choice-merge.ts";
import { eachLimited } from "./each-limited.ts";
import { eventJson, type EngineEvent } from "./engine-events.ts";
import { askEngine, type Exchange } from "./engine-exchange.ts";
import { pumpEvents } from "./event-pump.ts";
import type { Outbox } from "./outbox.ts";
import { countsOf, mayCount, type TokenCounts } from "./token-counts.ts";

export interface StreamOptions {
  /** Aborts when the client goes or this node ends. */
  readonly signal: AbortSignal;
  readonly outbox: Outbox;
  readonly silenceMsMax: number;
  readonly writer: StreamWriter;
  /** Told of every chunk with a token. */
  readonly onChunk: () => void;
}

/** How a stream ended: `failure` is what the client was told in the stream, where it was not told that it is done. */
export interface StreamEnd {
  readonly counts: TokenCounts | null;
  readonly failure: HttpRefusal | null;
}

/** Asks for the first choice: until the engine has taken that, nothing is sent and a refusal can still have its status. */
export function openStream(exchange: Exchange, signal: AbortSignal): Promise<Response> {
  const [first] = exchange.request.jobs;
  return askEngine(exchange, streamBody(exchange, first?.body ?? {}), { signal });
}

function streamBody({ request, route }: Exchange, body: ChoiceJob["body"]): JsonObject {
  // The tokens of several choices are added up here, so each is asked for its count.
  const counted = request.includeUsage || request.jobs.length > 1;
  return { ...body, model: route.model, stream: true, ...(counted ? { stream_options: { include_usage: true } } : {}) };
}

/** Relays the engine's stream into the outbox and ends it: with the end mark, or with an error event. Never rejects. */
export async function relayStream(exchange: Exchange, opened: Response, options: StreamOptions): Promise<StreamEnd> {
  const { outbox, writer } = options;
  let counts: TokenCounts | null = null;
  let failure: HttpRefusal | null = null;
  try {
    const relay = exchange.request.jobs.length === 1 ? relayOne : relayAll;
    await relay(exchange, opened, options, (sum) => {
      counts = sum;
    });
    sendTo(outbox, writer.end());
  } catch (error) {
    failure = asRefusal(error);
    outbox.send(writer.failed(failure));
  }
  outbox.end();
  return { counts, failure };
}

function sendTo(outbox: Outbox, bytes: Uint8Array | null): void {
  if (bytes !== null) outbox.send(bytes);
}

function reshapedEvent(event: EngineEvent, reshape: (chunk: JsonObject) => JsonObject): EngineEvent {
  const json = eventJson(event);
  return isObject(json) ? { ...event, bytes: Buffer.from(`data: ${JSON.stringify(reshape(json))}\n\n`) } : event;
}

type Counted = (counts: TokenCounts) => void;

/** One choice: chunk by chunk as they come. */
async function relayOne(exchange: Exchange, opened: Response, options: StreamOptions, counted: Counted): Promise<void> {
  const reshape = exchange.request.jobs[0]?.reshape?.() ?? null;
  await pumpEvents(exchange, opened, options, (event) => {
    if (event.kind === "comment") return sendTo(options.outbox, options.writer.comment?.() ?? event.bytes);
    options.onChunk();
    sendTo(options.outbox, options.writer.event(reshape === null ? event : reshapedEvent(event, reshape)));
    if (!mayCount(event.bytes)) return;
    const counts = countsOf(eventJson(event));
    if (counts !== null) counted(counts);
  });
}

/** Several choices: as many at once as the engine has slots, their chunks mixed as they come. */
async function relayAll(exchange: Exchange, opened: Response, options: StreamOptions, counted: Counted): Promise<void> {
  const { request, route } = exchange;
  const { outbox } = options;
  const usage = createUsageSum();
  const merge = createChunkMerge(usage);
  const others = new AbortController();
  const signal = AbortSignal.any([options.signal, others.signal]);
  const send = (json: unknown): void => outbox.send(Buffer.from(`data: ${JSON.stringify(json)}\n\n`));
  try {
    await eachLimited(request.jobs, route.slots, async (job, at) => {
      const response = at === 0 ? opened : await askEngine(exchange, streamBody(exchange, job.body), { signal, more: true });
      const reshape = job.reshape?.() ?? null;
      await pumpEvents(exchange, response, { ...options, signal }, (event) => {
        if (event.kind === "comment") return outbox.send(event.bytes);
        options.onChunk();
        const json = eventJson(event);
        const chunk = isObject(json) ? merge.chunk(job, reshape?.(json) ?? json) : null;
        if (chunk !== null) send(chunk);
      });
    });
  } catch (error) {
    others.abort();
    throw error;
  }
  counted(usage.counts);
  if (request.includeUsage) send(merge.last());
}
