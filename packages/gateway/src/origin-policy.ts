import { HttpRefusal } from "./http-refusal.ts";

/** Whether a request's `Origin` is the page this gateway itself serves. */
function isOwnOrigin(origin: string, request: Request): boolean {
  if (!URL.canParse(origin)) return false;
  const host = request.headers.get("host") ?? new URL(request.url).host;
  return new URL(origin).host === host.toLowerCase();
}

/** The request's origin where it is one that may read answers across origins, else `null`. */
export function listedOrigin(request: Request, allowed: readonly string[]): string | null {
  const origin = request.headers.get("origin");
  return origin !== null && allowed.includes(origin) ? origin : null;
}

/** Refuses what a page of another origin sends. Programs that are not browsers send no `Origin` and are not concerned. */
export function checkOrigin(request: Request, allowed: readonly string[]): void {
  const origin = request.headers.get("origin");
  if (origin === null) {
    // Following a link from another site is no harm: only what changes something is refused.
    if (request.method === "GET" || request.headers.get("sec-fetch-site") !== "cross-site") return;
  } else if (isOwnOrigin(origin, request) || allowed.includes(origin)) return;
  const named = origin === null ? "another origin" : `the origin ${JSON.stringify(origin.slice(0, 100))}`;
  throw new HttpRefusal(403, "origin_not_allowed", `Requests from ${named} are not allowed here.`);
}

const PREFLIGHT_HEADER = /^[a-z0-9!#$&'*+.^_`|~, -]{0,1024}$/i;

/** The answer to a browser's question before a request across origins. */
export function preflight(request: Request, allowed: readonly string[]): Response {
  checkOrigin(request, allowed);
  const wanted = request.headers.get("access-control-request-headers") ?? "";
  return new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-methods": "GET, POST",
      ...(wanted !== "" && PREFLIGHT_HEADER.test(wanted) ? { "access-control-allow-headers": wanted } : {}),
      "access-control-max-age": "600",
    },
  });
}
