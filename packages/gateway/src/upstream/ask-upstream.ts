import { ClusterdError } from "@clusterd/wire";
import type { EngineRequest } from "../backend.ts";
import { isObject, type JsonObject } from "../json-body.ts";
import { ENGINE_ERROR_BYTES_MAX, UPSTREAM_SILENCE_MS_MAX } from "../limits.ts";
import { readText } from "../relay/engine-exchange.ts";
import { upstreamAnswer } from "./upstream-answer.ts";
import { upstreamBody, upstreamPath } from "./upstream-fields.ts";
import { FORWARDED_HEADER } from "./upstream-policy.ts";
import type { UpstreamChoice } from "./upstream.ts";

const MESSAGE_LENGTH_MAX = 500;
/** What an upstream says of these is about the request; of others it may be about whoever runs this node. */
const TOLD: ReadonlySet<number> = new Set([400, 404, 413, 422, 429]);

export interface AskUpstreamOptions {
  /** How long it may send nothing, before its answer and within; milliseconds. */
  readonly silenceMsMax?: number;
  /** Told the checked fields that the upstream does not know, by name. */
  readonly onLeftOut?: (fields: readonly string[]) => void;
}

/**
 * Asks an upstream as the engine would be asked. Its answer comes with nothing of it but the status and the body, in the engine's
 * own form; whatever goes wrong is an `upstream_failed`. Redirects are not followed: the address is a person's, not the answer's.
 */
export async function askUpstream(
  { upstream, theirModel }: UpstreamChoice,
  request: EngineRequest,
  { silenceMsMax = UPSTREAM_SILENCE_MS_MAX, onLeftOut }: AskUpstreamOptions = {},
): Promise<Response> {
  const { signal } = request;
  signal.throwIfAborted();
  const path = upstreamPath(request.path);
  if (path === null) throw new ClusterdError("upstream_failed", `The upstream ${upstream.name} is not asked for this.`);
  const { body, leftOut } = upstreamBody(request.path, bodyOf(request), upstream, theirModel);
  if (leftOut.length > 0) onLeftOut?.(leftOut);
  const exchange = new AbortController();
  const giveUp = (): void => exchange.abort(signal.reason);
  signal.addEventListener("abort", giveUp, { once: true });
  const silence = setTimeout(() => exchange.abort(new Error(`no answer for ${silenceMsMax / 1000} s`)), silenceMsMax);
  let answer: Response;
  try {
    answer = await fetch(`${upstream.baseUrl}${path}`, {
      method: "POST",
      redirect: "manual",
      signal: exchange.signal,
      headers: {
        "content-type": "application/json",
        // Nothing that has to be unpacked comes back: its size would be known only then.
        "accept-encoding": "identity",
        [FORWARDED_HEADER]: "1",
        ...(upstream.apiKey === null ? {} : { authorization: `Bearer ${upstream.apiKey}` }),
      },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw await refusedBy(upstream, answer);
  } catch (error) {
    signal.removeEventListener("abort", giveUp);
    exchange.abort();
    if (signal.aborted || error instanceof ClusterdError) throw error;
    throw new ClusterdError("upstream_failed", `The upstream ${upstream.name} could not be asked: ${reasonOf(error)}.`, {
      cause: error,
    });
  } finally {
    clearTimeout(silence);
  }
  return upstreamAnswer(upstream, answer, {
    stream: body["stream"] === true,
    silenceMsMax,
    close() {
      signal.removeEventListener("abort", giveUp);
      exchange.abort();
    },
  });
}

function bodyOf({ body }: EngineRequest): JsonObject {
  const json: unknown = JSON.parse(body ?? "{}");
  return isObject(json) ? json : {};
}

async function refusedBy({ name, apiKey }: UpstreamChoice["upstream"], answer: Response): Promise<ClusterdError> {
  const { status } = answer;
  const redirected = status >= 300 && status < 400 ? ", a redirect, which is not followed" : "";
  const text = TOLD.has(status) ? await readText(answer, ENGINE_ERROR_BYTES_MAX).catch(() => "") : "";
  const said = messageIn(text);
  const shown = apiKey === null || apiKey === "" ? said : said.replaceAll(apiKey, "…");
  return new ClusterdError(
    "upstream_failed",
    `The upstream ${name} answered ${status}${redirected}${shown === "" ? "" : `: ${shown}`}`.replace(/\.?$/, "."),
    { details: { status } },
  );
}

function messageIn(text: string): string {
  try {
    const json: unknown = JSON.parse(text);
    const error = isObject(json) ? json["error"] : null;
    const message = isObject(error) ? error["message"] : error;
    return typeof message === "string" ? message.slice(0, MESSAGE_LENGTH_MAX) : "";
  } catch {
    return "";
  }
}

/** The innermost reason that `fetch` gives, e.g. that the connection was refused. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const inner = error.cause instanceof Error && error.cause.message !== "" ? error.cause : error;
  return inner.message.slice(0, MESSAGE_LENGTH_MAX).replace(/\.$/, "");
}
