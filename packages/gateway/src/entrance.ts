import type { KeyGrant } from "@clusterd/wire";
import type { MiddlewareHandler } from "hono";
import { keyCheck } from "./api-key.ts";
import type { Caller, GatewayEnv } from "./gateway-env.ts";
import { checkHost } from "./host-policy.ts";
import { checkLimits } from "./key-limits.ts";
import type { Keys } from "./keys.ts";
import { checkOrigin, preflight } from "./origin-policy.ts";
import { isPage } from "./routes/route-table.ts";

export interface EntranceOptions {
  readonly apiKey: string | null;
  readonly keys: Keys;
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
}

/** What every request must pass before a route sees it: the right host, an origin that may, the key, and the key's limits. */
export function entrance({ apiKey, keys, allowedHosts, allowedOrigins }: EntranceOptions): MiddlewareHandler<GatewayEnv> {
  const checkKey = keyCheck(apiKey, keys);
  return async (c, next) => {
    const request = c.req.raw;
    const { method, path } = c.req;
    checkHost(request, allowedHosts);
    if (method === "OPTIONS") return preflight(request, allowedOrigins);
    checkOrigin(request, allowedOrigins);
    const grant = path === "/health" ? null : checkKey(request, { page: isPage(method, path) });
    const caller = callerOf(grant, c.env.incoming?.socket.remoteAddress);
    c.set("caller", caller);
    c.get("record").caller = caller;
    if (grant !== null) checkLimits(grant, keys, method, path);
    return next();
  };
}

function callerOf(grant: KeyGrant | null, address: string | undefined): Caller {
  if (grant === null) return { id: `ip:${address ?? "local"}`, keyId: null, name: null, isPrivate: false, models: null };
  const { id, name, isPrivate, models } = grant;
  return { id: `key:${id}`, keyId: id, name, isPrivate, models };
}
