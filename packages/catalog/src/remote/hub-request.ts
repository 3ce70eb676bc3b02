import { setTimeout as pause } from "node:timers/promises";
import { ClusterdError } from "@clusterd/wire";
import type { Response } from "undici";
import { plainText } from "../plain-text.ts";
import type { HubConfig } from "./hub-config.ts";
import { routeTo } from "./hub-dispatch.ts";
import { EXCHANGE_MS_MAX, GET_PAUSE_MS, GET_TRIES_MAX, REDIRECTS_MAX, RETRY_AFTER_MS_MAX, SILENCE_MS_MAX } from "./hub-limits.ts";
import { answered, hostOf, proxyRefusal, refusal, unreachable } from "./hub-refusal.ts";
import { isInternalHost } from "./internal-address.ts";

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
  readonly headers: Response["headers"];
  readonly body: Buffer;
}

/** What the hub itself says of a file while it sends one elsewhere for it. */
export interface LinkedFile {
  readonly bytes: number | null;
  /** SHA-256, hex. */
  readonly sha256: string | null;
}

export interface OpenAnswer {
  readonly response: Response;
  /** Where it came from. */
  readonly from: URL;
  readonly linked: LinkedFile;
}

/**
 * One GET, tried again where the hub fails for now. Redirects are followed by hand: the token goes to the endpoint alone, nothing goes from
 * https to http, and only a file's bytes may come from another host. Reads at most `bytesMax` bytes of the answer and hangs up where there
 * are more. Throws `usage` (a proxy), `not_admitted`, `not_found`, `failed`, `timeout`.
 */
export async function hubGet(config: HubConfig, request: HubRequest, bytesMax: number, signal: AbortSignal): Promise<HubAnswer> {
  for (let tries = 1; ; tries++) {
    try {
      return await getOnce(config, request, bytesMax, signal);
    } catch (error) {
      signal.throwIfAborted();
      const mayPass = error instanceof ClusterdError && error.details?.["passing"] === true;
      const waitMs = retryAfterMs(error) ?? GET_PAUSE_MS * 2 ** (tries - 1);
      // A person waits for this: who asks for minutes is told of instead.
      if (!mayPass || tries >= GET_TRIES_MAX || waitMs > SILENCE_MS_MAX) throw error;
      await pause(waitMs, undefined, { signal });
    }
  }
}

/** How long a server has asked to wait, at most {@link RETRY_AFTER_MS_MAX}; null where it has not. */
export function retryAfterMs(error: unknown): number | null {
  const seconds = error instanceof ClusterdError ? error.details?.["retryAfterSeconds"] : null;
  return typeof seconds === "number" && seconds >= 0 ? Math.min(seconds * 1_000, RETRY_AFTER_MS_MAX) : null;
}

async function getOnce(config: HubConfig, request: HubRequest, bytesMax: number, signal: AbortSignal): Promise<HubAnswer> {
  const silence = new AbortController();
  const quiet = setTimeout(() => silence.abort(), SILENCE_MS_MAX);
  // Also a server that drips has an end.
  const late = setTimeout(() => silence.abort(), EXCHANGE_MS_MAX);
  const stop = new AbortController();
  const ended = AbortSignal.any([signal, silence.signal, stop.signal]);
  let from = new URL(config.endpoint);
  try {
    const answer = await follow(config, request, ended);
    const { response } = answer;
    from = answer.from;
    if (!response.ok) throw refusal(config, request, response);
    // A server that does not know ranges would send the whole file; one that packs it sends other bytes than were asked for.
    const isRange = response.status === 206 && isPlain(response);
    const body = request.range !== undefined && !isRange ? Buffer.alloc(0) : await read(response, bytesMax, quiet);
    return { status: response.status, headers: response.headers, body };
  } catch (thrown) {
    signal.throwIfAborted();
    if (thrown instanceof ClusterdError) throw thrown;
    if (silence.signal.aborted)
      throw new ClusterdError("timeout", `${hostOf(config)} did not answer within ${SILENCE_MS_MAX / 1000} seconds.`, {
        next: "Try again, or check the network.",
        cause: thrown,
      });
    throw unreachable(config, from, null, thrown);
  } finally {
    clearTimeout(quiet);
    clearTimeout(late);
    stop.abort();
  }
}

/**
 * The answer to one GET, its body unread, and where it came from. `from`: where an earlier answer to the same request came from; the hub
 * is then not asked again. Throws as {@link hubGet}, with no watch over silence and no further try.
 */
export async function hubOpen(config: HubConfig, request: HubRequest, signal: AbortSignal, from?: URL): Promise<OpenAnswer> {
  const answer = await follow(config, request, signal, from);
  const { response, from: where } = answer;
  if (!response.ok) {
    await response.body?.cancel();
    // Where files are stored nobody is asked who he is: an address from there holds for a while, or not, and another may be given.
    if (where.origin !== new URL(config.endpoint).origin) throw answered(where.host, request.repo, response, true);
    throw refusal(config, request, response);
  }
  return answer;
}

/** Whether a body is the file's own bytes, not packed on the way. */
export function isPlain(response: Pick<Response, "headers">): boolean {
  const packed = response.headers.get("content-encoding")?.trim().toLowerCase() ?? "";
  return packed === "" || packed === "identity";
}

async function follow(config: HubConfig, request: HubRequest, signal: AbortSignal, from?: URL): Promise<OpenAnswer> {
  const home = new URL(config.endpoint);
  let url = from ?? new URL(config.endpoint + request.path);
  let linked: LinkedFile = { bytes: null, sha256: null };
  for (let hop = 0; hop <= REDIRECTS_MAX; hop++) {
    const response = await ask(config, request, url, signal);
    if (url.origin === home.origin) linked = linkedIn(response, linked);
    if (response.status < 300 || response.status >= 400) return { response, from: url, linked };
    await response.body?.cancel();
    url = nextHop(request, home, url, response.headers.get("location"), (problem) => {
      throw unreachable(config, home, null, new Error(problem));
    });
  }
  throw unreachable(config, home, null, new Error("it redirects in circles"));
}

async function ask(config: HubConfig, request: HubRequest, url: URL, signal: AbortSignal): Promise<Response> {
  const home = new URL(config.endpoint);
  const isHome = url.origin === home.origin;
  const headers = {
    "user-agent": "clusterd",
    ...(isHome && config.token !== null ? { authorization: `Bearer ${config.token}` } : {}),
    ...(request.range === undefined
      ? {}
      : { range: `bytes=${request.range[0]}-${request.range[1]}`, "accept-encoding": "identity" }),
    ...(request.ifRange === undefined ? {} : { "if-range": request.ifRange }),
  };
  const { fetch, dispatcher, proxy } = await routeTo(url, home, config.proxies);
  let response;
  try {
    response = await fetch(url, { headers, redirect: "manual", signal, dispatcher });
  } catch (thrown) {
    signal.throwIfAborted();
    throw unreachable(config, url, proxy, thrown);
  }
  if (proxy === null || response.status !== 407) return response;
  await response.body?.cancel();
  throw proxyRefusal(proxy, response.status);
}

/** Where a redirect may lead; `refuse` throws. */
function nextHop(request: HubRequest, home: URL, url: URL, location: string | null, refuse: (problem: string) => never): URL {
  if (location === null || !URL.canParse(location, url)) return refuse("a redirect to nowhere");
  const next = new URL(location, url);
  const isSafe = next.protocol === "https:" || (next.protocol === "http:" && url.protocol === "http:");
  if (!isSafe || (!request.mayLeave && next.origin !== home.origin))
    return refuse(`it redirects to ${plainText(next.origin, 120)}, where clusterd does not follow`);
  // Nobody is shown a name and password that a redirect has made up.
  if (next.username !== "" || next.password !== "") return refuse("it redirects to an address with a name and password in it");
  // A mirror at home may keep its files beside it; from outside nobody is sent in.
  if (isInternalHost(next.hostname) && !isInternalHost(home.hostname))
    return refuse(`it redirects into the network around this machine (${plainText(next.host, 120)})`);
  return next;
}

/** `X-Linked-Size` and `X-Linked-Etag`: of the file itself, not of where it is stored. */
function linkedIn({ headers }: Response, before: LinkedFile): LinkedFile {
  const size = headers.get("x-linked-size") ?? "";
  const sha256 = /^"?([0-9a-f]{64})"?$/u.exec(headers.get("x-linked-etag")?.trim() ?? "")?.[1];
  return { bytes: /^\d{1,15}$/u.test(size) ? Number(size) : before.bytes, sha256: sha256 ?? before.sha256 };
}

/** At most `bytesMax` bytes, kept as they come: a body in pieces of one byte takes no more memory than in large ones. */
async function read(response: Response, bytesMax: number, quiet: NodeJS.Timeout): Promise<Buffer> {
  let kept = Buffer.alloc(0);
  let bytes = 0;
  for await (const piece of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    quiet.refresh();
    const taken = piece.subarray(0, bytesMax - bytes);
    if (bytes + taken.length > kept.length) {
      const larger = Buffer.alloc(Math.min(bytesMax, Math.max(64 * 1024, 2 * (bytes + taken.length))));
      kept.copy(larger, 0, 0, bytes);
      kept = larger;
    }
    kept.set(taken, bytes);
    bytes += taken.length;
    if (bytes >= bytesMax) break;
  }
  return kept.subarray(0, bytes);
}
