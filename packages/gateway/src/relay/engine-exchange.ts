import { ClusterdError } from "@clusterd/wire";
import type { Backend, Route } from "../backend.ts";
import { clientGone, type HttpRefusal } from "../http-refusal.ts";
import type { JsonObject } from "../json-body.ts";
import { ENGINE_ERROR_BYTES_MAX } from "../limits.ts";
import type { GenerationRequest } from "../request/generation-request.ts";
import { engineRefusal } from "./engine-refusal.ts";
import { causeOf } from "./failure-cause.ts";

/** The engine's field for how many tokens it may guess at once: 0 is no speculation. */
const SPECULATION_LIMIT = "speculative.n_max";

/**
 * Paths whose streams are asked to tell how much of the prompt is worked off. The engine looks whether its client is still there when
 * it has something to say; while other streams run it would not before the first token, however long the prompt.
 */
const TELLS_PROGRESS: ReadonlySet<string> = new Set(["/v1/chat/completions", "/v1/completions"]);

/** Where one request's choices come from, and what they are for. */
export interface Exchange {
  readonly backend: Backend;
  readonly route: Route;
  readonly request: GenerationRequest;
  /** Whose request it is. */
  readonly caller: string;
  /** Told what the request waits for, in words, and null once it does not wait any more. */
  readonly onWaiting: (text: string | null) => void;
  /** Told the place in the queue for a turn; 0: it has one. */
  readonly onQueue?: (position: number) => void;
}

export interface AskOptions {
  readonly signal: AbortSignal;
  /** Not the request's first choice. */
  readonly more?: boolean;
}

/** Asks the engine and gives its answer once it is a good one; any other becomes the refusal that the client is told. */
export async function askEngine(exchange: Exchange, body: JsonObject, { signal, more = false }: AskOptions): Promise<Response> {
  const { backend, route, request, caller } = exchange;
  const onWaiting = (position: number): void => {
    exchange.onQueue?.(position);
    exchange.onWaiting(position > 0 ? `queued, position ${position}` : null);
  };
  const asked = {
    ...body,
    ...(route.speculationPaused === true ? { [SPECULATION_LIMIT]: 0 } : {}),
    ...(body["stream"] === true && TELLS_PROGRESS.has(request.path) ? { return_progress: true } : {}),
  };
  let answer: Response;
  try {
    answer = await backend.fetchEngine(route.deployment, {
      method: "POST",
      path: request.path,
      body: JSON.stringify(asked),
      signal,
      caller,
      more,
      ...(more ? {} : { onWaiting }),
    });
  } catch (error) {
    throw await brokenExchange(exchange, error, signal);
  }
  if (answer.ok) return answer;
  const text = await readText(answer, ENGINE_ERROR_BYTES_MAX).catch(async (error: unknown) => {
    throw await brokenExchange(exchange, error, signal);
  });
  throw engineRefusal(answer.status, text, request.promptParam);
}

/** Why the exchange broke: because it was given up, or with the cause that the node knows. */
export async function brokenExchange(
  exchange: Exchange,
  error: unknown,
  signal: AbortSignal,
): Promise<ClusterdError | HttpRefusal> {
  if (signal.aborted) return signal.reason instanceof ClusterdError ? signal.reason : clientGone();
  return causeOf(exchange.backend, exchange.route, error);
}

/** The whole body as text, up to a limit. */
export async function readText(answer: Response, bytesMax: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of answer.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) throw new ClusterdError("engine_crashed", `The engine's answer is larger than ${bytesMax} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes).toString("utf8");
}
