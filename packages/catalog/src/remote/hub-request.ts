import { ClusterdError } from "@clusterd/wire";
import { plainText } from "../plain-text.ts";
import type { HubConfig } from "./hub-config.ts";
import { isInternalHost } from "./internal-address.ts";
import { REDIRECTS_MAX, SILENCE_MS_MAX } from "./hub-limits.ts";

/** What is asked of a hub. */
export interface HubRequest {
  /** Under the endpoint, from the slash on. */
  readonly path: string;
  /** `OWNER/REPO`, for messages. */
  readonly repo: string;
  /** First and last byte wanted. */
  readonly range?: readonly [number, number];
  /** Of an earlier range of the same file: another file is then answered whole, not by its range. */
  readonly ifRange?: string;
  /** Whether the hub may send one elsewhere for it: for files it does. */
  readonly mayLeave: boolean;
}

export interface HubAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
}

/**
 * One GET. Redirects are followed by hand: the token goes to the endpoint alone, nothing goes from https to http, and only a file's bytes
 * may come from another host. Reads at most `bytesMax` bytes of the answer and hangs up where there are more. Throws `not_admitted`,
 * `not_found`, `failed`, `timeout`.
 */
export async function hubGet(config: HubConfig, request: HubRequest, bytesMax: number, signal: AbortSignal): Promise<HubAnswer> {
  const silence = new AbortController();
  const quiet = setTimeout(() => silence.abort(), SILENCE_MS_MAX);
  const stop = new AbortController();
  const ended = AbortSignal.any([signal, silence.signal, stop.signal]);
  try {
    const response = await follow(config, request, ended);
    if (!response.ok) throw refusal(config, request, response);
    // A server that does not know ranges would send the whole file.
    const body = request.range !== undefined && response.status !== 206 ? Buffer.alloc(0) : await read(response, bytesMax, quiet);
    return { status: response.status, headers: response.headers, body };
  } catch (thrown) {
    signal.throwIfAborted();
    if (thrown instanceof ClusterdError) throw thrown;
    if (silence.signal.aborted)
      throw new ClusterdError("timeout", `${hostOf(config)} did not answer within ${SILENCE_MS_MAX / 1000} seconds.`, {
        next: "Try again, or check the network.",
        cause: thrown,
      });
    throw unreachable(config, thrown);
  } finally {
    clearTimeout(quiet);
    stop.abort();
  }
}

/**
 * The answer to one GET, its body unread, and where it came from. `from`: where an earlier answer to the same request came from; the hub
 * is then not asked again. Throws as {@link hubGet}, with no watch over silence.
 */
export async function hubOpen(
  config: HubConfig,
  request: HubRequest,
  signal: AbortSignal,
  from?: URL,
): Promise<{ readonly response: Response; readonly from: URL }> {
  const response = await follow(config, request, signal, from).catch((thrown: unknown) => {
    signal.throwIfAborted();
    throw unreachable(config, thrown);
  });
  const where = new URL(response.url);
  if (!response.ok) {
    await response.body?.cancel();
    // Where files are stored nobody is asked who he is: an address from there holds for a while, or not.
    if (where.origin !== new URL(config.endpoint).origin)
      throw new ClusterdError("failed", `${where.host} answered ${response.status} for ${request.repo}.`, {
        details: retryDetails(response),
      });
    throw refusal(config, request, response);
  }
  return { response, from: where };
}

async function follow(config: HubConfig, request: HubRequest, signal: AbortSignal, from?: URL): Promise<Response> {
  const home = new URL(config.endpoint);
  let url = from ?? new URL(config.endpoint + request.path);
  for (let hop = 0; hop <= REDIRECTS_MAX; hop++) {
    const isHome = url.origin === home.origin;
    const headers = {
      "user-agent": "clusterd",
      ...(isHome && config.token !== null ? { authorization: `Bearer ${config.token}` } : {}),
      ...(request.range === undefined
        ? {}
        : { range: `bytes=${request.range[0]}-${request.range[1]}`, "accept-encoding": "identity" }),
      ...(request.ifRange === undefined ? {} : { "if-range": request.ifRange }),
    };
    const response = await fetch(url, { headers, redirect: "manual", signal });
    if (response.status < 300 || response.status >= 400) return response;
    await response.body?.cancel();
    const location = response.headers.get("location");
    if (location === null || !URL.canParse(location, url)) throw new Error("a redirect to nowhere");
    const next = new URL(location, url);
    const isSafe = next.protocol === "https:" || (next.protocol === "http:" && url.protocol === "http:");
    if (!isSafe || (!request.mayLeave && next.origin !== home.origin))
      throw new Error(`it redirects to ${plainText(next.origin, 120)}, where clusterd does not follow`);
    // A mirror at home may keep its files beside it; from outside nobody is sent in.
    if (isInternalHost(next.hostname) && !isInternalHost(home.hostname))
      throw new Error(`it redirects into the network around this machine (${plainText(next.host, 120)})`);
    url = next;
  }
  throw new Error("it redirects in circles");
}

async function read(response: Response, bytesMax: number, quiet: NodeJS.Timeout): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  if (response.body === null) return Buffer.alloc(0);
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    quiet.refresh();
    bytes += chunk.length;
    chunks.push(chunk);
    if (bytes >= bytesMax) break;
  }
  return Buffer.concat(chunks, Math.min(bytes, bytesMax));
}

function unreachable(config: HubConfig, thrown: unknown): ClusterdError {
  return new ClusterdError("failed", `${hostOf(config)} cannot be read from: ${reasonOf(thrown)}.`, {
    next: "Check the network, and HF_ENDPOINT where that is set.",
    cause: thrown,
  });
}

/** A hub's no, in words: it says with a header what it means. */
function refusal(config: HubConfig, { repo, path }: HubRequest, response: Response): ClusterdError {
  const said = response.headers.get("x-error-code");
  const { status } = response;
  const page = `${config.endpoint}/${repo}`;
  const withToken =
    config.token === null ? "set HF_TOKEN to a token that may read it" : "the token in HF_TOKEN may not read it yet";
  if (said === "GatedRepo" || status === 403)
    return new ClusterdError("not_admitted", `${repo} is gated or private (${status}).`, {
      next: `Accept its terms on ${page}; then ${withToken}.`,
    });
  // Of what it does not show to everyone the hub does not say whether it is there.
  if (status === 401 && said !== "RepoNotFound")
    return new ClusterdError(
      "not_admitted",
      `${hostOf(config)} does not show ${repo}: it is gated, private, or not there (401).`,
      {
        next: `Check the name on ${page}. If it is there, accept its terms; then ${withToken}.`,
      },
    );
  if (said === "RevisionNotFound")
    return new ClusterdError("not_found", `${repo} has no such revision.`, {
      next: `See its branches and tags: ${page}/tree/main`,
    });
  if (status === 404 || said === "RepoNotFound") {
    const privately = config.token === null ? " If it is private, set HF_TOKEN." : "";
    const what = path.includes("/resolve/") ? "that file" : "no such repository, or it is not shown";
    return new ClusterdError("not_found", `${hostOf(config)} has not found ${repo}: ${what}.`, {
      next: `Check the name.${privately}`,
    });
  }
  return new ClusterdError("failed", `${hostOf(config)} answered ${status} for ${repo}.`, {
    details: retryDetails(response),
    next: status === 429 ? "It asks to slow down: try again in a few minutes." : "Try again later.",
  });
}

function retryDetails({ status, headers }: Response): Readonly<Record<string, unknown>> {
  const seconds = Number(headers.get("retry-after") ?? Number.NaN);
  return { status, ...(Number.isFinite(seconds) ? { retryAfterSeconds: seconds } : {}) };
}

const hostOf = (config: HubConfig): string => new URL(config.endpoint).host;

/** `fetch` says only that it failed; why is in its cause. */
function reasonOf(thrown: unknown): string {
  const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown;
  const text = cause instanceof Error ? cause.message || cause.name : String(cause);
  return plainText(text, 200);
}
