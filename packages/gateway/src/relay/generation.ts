import { ClusterdError } from "@clusterd/wire";
import type { Backend, Route } from "../backend.ts";
import { CLIENT_GONE_STATUS, asRefusal } from "../http-refusal.ts";
import { OUTBOX_BYTES_MAX } from "../limits.ts";
import type { GenerationRequest } from "../request/generation-request.ts";
import type { LiveRequest, LiveRequests } from "../watch/live-requests.ts";
import type { Outcome } from "../watch/request-record.ts";
import type { Exchange } from "./engine-exchange.ts";
import { openOutbox, type Outbox } from "./outbox.ts";
import { createPatience, type Patience, type PatienceOptions } from "./patience.ts";
import { openStream, relayStream, type StreamEnd } from "./streamed-answer.ts";
import { answered } from "./superseded.ts";
import type { TokenCounts } from "./token-counts.ts";
import { wholeAnswer } from "./whole-answer.ts";

/** Where a request's deployment is waited for, and told of meanwhile. */
export interface ReadyOptions {
  readonly signal: AbortSignal;
  readonly stream: boolean;
  /** Told what is waited for, in words, and null once it is there. */
  readonly onWaiting: (text: string | null) => void;
}

export interface GenerationOptions {
  readonly backend: Backend;
  readonly live: LiveRequests;
  /** Whose request it is. */
  readonly caller: string;
  /** Aborts when the client is gone. */
  readonly client: AbortSignal;
  /** Closes the client's connection; false where there is none. */
  readonly cut: () => boolean;
  readonly silenceMsMax: number;
  readonly patience: PatienceOptions;
  /** Gives the deployment once it answers; rejects where it will not. */
  readonly ready: (options: ReadyOptions) => Promise<Route>;
  /** Told the place in the queue for a turn; 0: it has one. */
  readonly onQueue: (position: number) => void;
  /** Told of every chunk with a token, when it comes. */
  readonly onToken: () => void;
  /** Told once the last byte of a stream is on its way. */
  readonly onStreamEnd: (outcome: Outcome, counts: TokenCounts | null) => void;
  /** Told the tokens of an answer that does not stream. */
  readonly onCounts: (counts: TokenCounts) => void;
}

/** Generates what was asked for on its deployment; rejects where nothing of it has been sent yet. */
export async function generate(request: GenerationRequest, options: GenerationOptions): Promise<Response> {
  const live = options.live.begin(options.client);
  try {
    if (request.stream) return await streamed(request, options, live);
    const { silenceMsMax } = options;
    const { json, counts } = await answered(
      () => openExchange(request, options, live.signal, () => {}),
      (exchange) => wholeAnswer(exchange, { signal: live.signal, silenceMsMax, onChunk: options.onToken }),
      live.signal,
    );
    if (counts !== null) options.onCounts(counts);
    live.end();
    return Response.json(json);
  } catch (error) {
    live.end();
    throw error;
  }
}

async function openExchange(
  request: GenerationRequest,
  { backend, caller, ready, onQueue }: GenerationOptions,
  signal: AbortSignal,
  onWaiting: Exchange["onWaiting"],
): Promise<Exchange> {
  const route = await ready({ signal, stream: request.stream, onWaiting });
  return { backend, route, request: request.forRoute?.(route) ?? request, caller, onWaiting, onQueue };
}

interface Opened {
  readonly exchange: Exchange;
  readonly response: Response;
}

/**
 * A stream. While the engine has not begun to answer nothing is sent, so that a refusal can have its status; but only for so long:
 * then the stream begins with signs of life, and whatever fails is told in it.
 */
async function streamed(request: GenerationRequest, options: GenerationOptions, live: LiveRequest): Promise<Response> {
  const outbox = openOutbox({ bytesMax: OUTBOX_BYTES_MAX, cut: options.cut });
  outbox.gone.addEventListener("abort", () => live.abort());
  const writer = request.form.writer();
  using patience = createPatience(options.patience, (text) => {
    const bytes = writer.waiting(text);
    if (bytes !== null) outbox.send(bytes);
  });
  const opening = answered(
    () => openExchange(request, options, live.signal, patience.onWaiting),
    async (exchange): Promise<Opened> => ({ exchange, response: await openStream(exchange, live.signal) }),
    live.signal,
  );
  const first = await Promise.race([opening, patience.over]);
  const stayed = first === null ? patience.keep() : null;
  void follow(opening, stayed, { ...options, outbox, writer }, live);
  return new Response(outbox.stream, {
    headers: { "content-type": request.form.contentType, "cache-control": "no-cache", "x-accel-buffering": "no" },
  });
}

interface FollowOptions extends GenerationOptions {
  readonly outbox: Outbox;
  readonly writer: ReturnType<GenerationRequest["form"]["writer"]>;
}

/** Relays what is being opened, to its end. Never rejects. */
async function follow(
  opening: Promise<Opened>,
  patience: Patience | null,
  options: FollowOptions,
  live: LiveRequest,
): Promise<void> {
  const { outbox, writer, silenceMsMax } = options;
  const { signal } = live;
  let end: StreamEnd;
  try {
    const { exchange, response } = await opening.finally(() => patience?.[Symbol.dispose]());
    end = await relayStream(exchange, response, { signal, outbox, writer, silenceMsMax, onChunk: options.onToken });
  } catch (error) {
    const failure = asRefusal(error);
    outbox.send(writer.failed(failure));
    outbox.end();
    end = { counts: null, failure };
  }
  live.end();
  options.onStreamEnd(outcomeOf(end, outbox.tooSlow), end.counts);
}

function outcomeOf({ failure }: StreamEnd, tooSlow: boolean): Outcome {
  if (failure === null) return "answered";
  if (tooSlow) return "slow_reader";
  return failure.status === CLIENT_GONE_STATUS ? "client_gone" : "failed";
}

/** What streams and waiting requests are told when this node goes. */
export function goingAway(): ClusterdError {
  return new ClusterdError("interrupted", "This node is shutting down.", { next: "Ask another node of the cluster." });
}
