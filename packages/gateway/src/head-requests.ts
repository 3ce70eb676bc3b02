import type { MiddlewareHandler } from "hono";
import type { GatewayEnv } from "./gateway-env.ts";

/** HEAD is answered by the route for GET: a stream that it opened is closed again, for nobody reads it. */
export const closeUnreadStreams: MiddlewareHandler<GatewayEnv> = async (c, next) => {
  await next();
  if (c.req.method === "HEAD") await c.res.body?.cancel();
};
