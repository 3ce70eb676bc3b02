import { ClusterdError } from "@clusterd/wire";
import type { Backend, Route } from "../backend.ts";
import { CLIENT_GONE_STATUS } from "../http-refusal.ts";
import { OUTBOX_BYTES_MAX } from "../limits.ts";
import type { GenerationRequest } from "../request/generation-request.ts";
import type { LiveRequests } from "../watch/live-requests.ts";
import type { Outcome } from "../watch/request-record.ts";
import type { Exchange } from "./engine-exchange.ts";
import { openOutbox } from "./outbox.ts";
import { openStream, relayStream, type StreamEnd } from "./streamed-answer.ts";
import type { TokenCounts } from "./token-counts.ts";
import { wholeAnswer } from "./whole-answer.ts";

export interface GenerationOptions {
  readonly backend: Backend;
  readonly live: LiveRequests;
  /** Aborts when the client is gone. */
  readonly client: AbortSignal;
  /** Closes the client's connection; false where there is none. */
  readonly cut: () => boolean;
  readonly silenceMsMax: number;
  /** Told once the last byte of a stream is on its way. */
  readonly onStreamEnd: (outcome: Outcome, counts: TokenCounts | null) => void;
  /** Told the tokens of an answer that does not stream. */
  readonly onCounts: (counts: TokenCounts) => void;
}

/** Generates what was asked for on its deployment; rejects where nothing of it has been sent yet. */
export async function generate(route: Route, request: GenerationRequest, options: GenerationOptions): Promise<Response> {
  const exchange: Exchange = { backend: options.backend, route, request };
  const live = options.live.begin(options.client);
  try {
    if (request.stream) return await streamed(exchange, options, live);
    const { json, counts } = await wholeAnswer(exchange, { signal: live.signal, silenceMsMax: options.silenceMsMax });
    if (counts !== null) options.onCounts(counts);
    live.end();
    return Response.json(json);
  } catch (error) {
    live.end();
    throw error;
  }
}

async function streamed(
  exchange: Exchange,
  options: GenerationOptions,
  live: ReturnType<LiveRequests["begin"]>,
): Promise<Response> {
  const opened = await openStream(exchange, live.signal);
  const outbox = openOutbox({ bytesMax: OUTBOX_BYTES_MAX, cut: options.cut });
  outbox.gone.addEventListener("abort", () => live.abort());
  void relayStream(exchange, opened, { signal: live.signal, outbox, silenceMsMax: options.silenceMsMax }).then((end) => {
    live.end();
    return options.onStreamEnd(outcomeOf(end, outbox.tooSlow), end.counts);
  });
  return new Response(outbox.stream, {
    headers: { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", "x-accel-buffering": "no" },
  });
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
