import { HttpRefusal } from "../http-refusal.ts";

/** The routes of the API by path. What else there is are the dashboard's files. */
const METHODS: Readonly<Record<string, "GET" | "POST" | "GET, POST">> = {
  "/health": "GET",
  "/metrics": "GET",
  "/v1/models": "GET",
  "/v1/chat/completions": "POST",
  "/v1/completions": "POST",
  "/v1/embeddings": "POST",
  "/v1/responses": "POST",
  "/v1/messages": "POST",
  "/v1/messages/count_tokens": "POST",
  "/api/chat": "POST",
  "/api/generate": "POST",
  "/api/embed": "POST",
  "/api/embeddings": "POST",
  "/api/show": "POST",
  "/api/pull": "POST",
  "/api/tags": "GET",
  "/api/ps": "GET",
  "/api/version": "GET",
  "/cluster/v1/state": "GET",
  "/cluster/v1/events": "GET",
  "/cluster/v1/logs": "GET",
  "/cluster/v1/aliases": "GET, POST",
  "/cluster/v1/keys": "GET",
  "/cluster/v1/keys/create": "POST",
  "/cluster/v1/keys/revoke": "POST",
  "/cluster/v1/plan": "POST",
  "/cluster/v1/load": "POST",
  "/cluster/v1/unload": "POST",
  "/cluster/v1/pull": "POST",
  "/cluster/v1/rm": "POST",
  "/cluster/v1/verify": "POST",
  "/cluster/v1/tensors": "GET",
  "/cluster/v1/approve": "POST",
  "/cluster/v1/remove": "POST",
  "/cluster/v1/drain": "POST",
  "/cluster/v1/rotate": "POST",
  "/cluster/v1/leave": "POST",
};

const API = /^\/(?:v1|api|cluster)(?:\/|$)|^\/(?:health|metrics)$/;

/** What a path takes; undefined: there is nothing at it. */
function methodsOf(path: string): (typeof METHODS)[string] | undefined {
  if (path.startsWith("/v1/models/")) return "GET";
  return Object.hasOwn(METHODS, path) ? METHODS[path] : undefined;
}

function takes(path: string, method: string): boolean {
  return methodsOf(path)?.split(", ").includes(method) === true;
}

/** Whether a request is a browser's for the dashboard, and not a program's for the API. */
export function isPage(method: string, path: string): boolean {
  return (method === "GET" || method === "HEAD") && !API.test(path);
}

/** A request's route for logs and metrics: one of a fixed set, whatever was sent. */
export function routeLabel(method: string, path: string): string {
  if (isPage(method, path)) return "GET (dashboard)";
  if (!takes(path, method)) return "(no route)";
  return path.startsWith("/v1/models/") ? "GET /v1/models/:id" : `${method} ${path}`;
}

/** What a request is told that no route takes. */
export function noRoute(method: string, path: string): HttpRefusal {
  const allowed = methodsOf(path);
  const shown = JSON.stringify(path.slice(0, 200));
  if (allowed === undefined || takes(path, method))
    return new HttpRefusal(404, "not_found", `There is nothing at ${shown} here.`);
  return new HttpRefusal(405, "method_not_allowed", `${shown} takes ${allowed} only.`, { headers: { allow: allowed } });
}
