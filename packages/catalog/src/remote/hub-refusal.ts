import { ClusterdError } from "@clusterd/wire";
import { plainText } from "../plain-text.ts";
import type { HubConfig } from "./hub-config.ts";
import { shownProxy } from "./proxy-settings.ts";

/** What of an answer tells why it is none. */
export interface Refused {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
}

const CAUSES_MAX = 6;
/** Answers that another try may change: the server is busy, being restarted, or was too slow. */
const PASSING: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504, 522, 524]);

/** A hub's no, in words: it says with a header what it means. */
export function refusal(
  config: HubConfig,
  asked: { readonly repo: string; readonly path: string },
  answer: Refused,
): ClusterdError {
  const { repo, path } = asked;
  const { status, headers } = answer;
  const said = headers.get("x-error-code");
  const host = hostOf(config);
  const page = `${config.endpoint}/${repo}`;
  const withToken =
    config.token === null
      ? "set HF_TOKEN to a token that may read it"
      : `the token in ${config.tokenFrom ?? "HF_TOKEN"} may not read it yet`;
  const told = headers.get("x-error-message") ?? "";
  if (status === 401 && config.token !== null && /invalid (?:credentials|username)|expired/iu.test(told))
    return new ClusterdError("not_admitted", `${host} does not know the token in ${config.tokenFrom ?? "HF_TOKEN"} (401).`, {
      next: `Make a new one on ${config.endpoint}/settings/tokens, or unset it to ask as nobody.`,
    });
  if (said === "DisabledRepo" || status === 451)
    return new ClusterdError("not_found", `${host} has taken ${repo} off (${status}).`, { next: `See why: ${page}` });
  if (said === "GatedRepo" || status === 403)
    return new ClusterdError("not_admitted", `${repo} is gated or private (${status}).`, {
      next: `Accept its terms on ${page}; then ${withToken}.`,
    });
  // Of what it does not show to everyone the hub does not say whether it is there.
  if (status === 401 && said !== "RepoNotFound")
    return new ClusterdError("not_admitted", `${host} does not show ${repo}: it is gated, private, or not there (401).`, {
      next: `Check the name on ${page}. If it is there, accept its terms; then ${withToken}.`,
    });
  if (said === "RevisionNotFound")
    return new ClusterdError("not_found", `${repo} has no such revision.`, {
      next: `See its branches and tags: ${page}/tree/main`,
    });
  if (status === 404 || status === 410 || said === "RepoNotFound" || said === "EntryNotFound") {
    const privately = config.token === null ? " If it is private, set HF_TOKEN." : "";
    const what = path.includes("/resolve/") ? "that file" : "no such repository, or it is not shown";
    return new ClusterdError("not_found", `${host} has not found ${repo}: ${what}.`, {
      next: `Check the name.${privately}`,
    });
  }
  return answered(host, repo, answer);
}

/** A status that means nothing more than itself. `mayPass`: another try may be answered otherwise, whatever it is. */
export function answered(
  host: string,
  repo: string,
  answer: Refused,
  mayPass: boolean = PASSING.has(answer.status),
): ClusterdError {
  return new ClusterdError("failed", `${host} answered ${answer.status} for ${repo}.`, {
    details: { ...retryDetails(answer), status: answer.status, passing: mayPass },
    next: answer.status === 429 ? "It asks to slow down: try again in a few minutes." : "Try again later.",
  });
}

/** A proxy's own no. */
export function proxyRefusal(proxy: URL, status: number): ClusterdError {
  if (status === 407)
    return new ClusterdError("not_admitted", `${shownProxy(proxy)} wants to know who asks (407).`, {
      next: "Put the name and password into its address: HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT",
    });
  return new ClusterdError("failed", `${shownProxy(proxy)} answered ${status}.`, {
    details: { status, passing: PASSING.has(status) },
    next: "Check HTTP_PROXY and HTTPS_PROXY, or except the hub with NO_PROXY.",
  });
}

/** How long a server asks one to wait: `Retry-After` in seconds or as a date, or the hub's `RateLimit` (`t=` seconds to the next window). */
function retryDetails({ status, headers }: Refused): Readonly<Record<string, unknown>> {
  const given = headers.get("retry-after")?.trim() ?? "";
  const window = status === 429 ? /(?:^|;)\s*t=(\d{1,6})\b/u.exec(headers.get("ratelimit") ?? "")?.[1] : undefined;
  const seconds = /^\d{1,9}$/u.test(given)
    ? Number(given)
    : Number.isFinite(Date.parse(given))
      ? Math.max(0, (Date.parse(given) - Date.now()) / 1000)
      : window === undefined
        ? null
        : Number(window);
  return seconds === null ? {} : { retryAfterSeconds: seconds };
}

/** What could not be connected to, or broke off; through which proxy. */
export function unreachable(config: HubConfig, url: URL, proxy: URL | null, thrown: unknown): ClusterdError {
  const refused = proxy === null ? null : /^Proxy [^(]*\((\d{3})\)/u.exec(reasonOf(thrown))?.[1];
  if (proxy !== null && refused != null) return proxyRefusal(proxy, Number(refused));
  const through = proxy === null ? "" : ` through ${shownProxy(proxy)}`;
  const isHome = url.host === hostOf(config);
  const at = isHome ? "" : `, which sends one to ${plainText(url.host, 120)}`;
  return new ClusterdError("failed", `${hostOf(config)} cannot be read from${at}${through}: ${reasonOf(thrown)}.`, {
    next:
      proxy === null
        ? "Check the network, and HF_ENDPOINT where that is set."
        : "Check the network, and HTTP_PROXY, HTTPS_PROXY and NO_PROXY.",
    cause: thrown,
    details: { passing: isPassing(thrown) },
  });
}

/** A connection that broke may hold the next time; one that nobody takes, or a redirect that is not followed, will not soon. */
function isPassing(thrown: unknown): boolean {
  const { code } = (rootOf(thrown) ?? {}) as { code?: unknown };
  return ["ECONNRESET", "EPIPE", "EAI_AGAIN", "UND_ERR_SOCKET", "HPE_INVALID_CONSTANT"].includes(String(code));
}

export const hostOf = (config: HubConfig): string => new URL(config.endpoint).host;

/** `fetch` says only that it failed; why is in its cause's cause, or, of several addresses, in each of theirs. */
function rootOf(thrown: unknown): unknown {
  let root = thrown;
  for (let depth = 0; depth < CAUSES_MAX; depth++) {
    if (root instanceof AggregateError && root.errors.length > 0) root = root.errors[0];
    else if (root instanceof Error && root.cause instanceof Error) root = root.cause;
  }
  return root;
}

function reasonOf(thrown: unknown): string {
  const root = rootOf(thrown);
  return plainText(root instanceof Error ? root.message || root.name : String(root), 200);
}
