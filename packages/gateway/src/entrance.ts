import type { MiddlewareHandler } from "hono";
import { keyCheck } from "./api-key.ts";
import type { GatewayEnv } from "./gateway-env.ts";
import { checkHost } from "./host-policy.ts";
import { checkOrigin, preflight } from "./origin-policy.ts";
import { isPage } from "./routes/route-table.ts";

export interface EntranceOptions {
  readonly apiKey: string | null;
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
}

/** What every request must pass before a route sees it: the right host, an origin that may, and the key. */
export function entrance({ apiKey, allowedHosts, allowedOrigins }: EntranceOptions): MiddlewareHandler<GatewayEnv> {
  const checkKey = keyCheck(apiKey);
  return async (c, next) => {
    const request = c.req.raw;
    checkHost(request, allowedHosts);
    if (request.method === "OPTIONS") return preflight(request, allowedOrigins);
    checkOrigin(request, allowedOrigins);
    if (c.req.path !== "/health") checkKey(request, { page: isPage(request.method, c.req.path) });
    const address = c.env.incoming?.socket.remoteAddress;
    c.set("caller", { id: `ip:${address ?? "local"}`, keyId: null, name: null, isPrivate: false });
    return next();
  };
}
