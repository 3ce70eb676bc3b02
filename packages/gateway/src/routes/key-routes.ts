import { Hono } from "hono";
import type { GatewayEnv } from "../gateway-env.ts";
import type { BodyReader } from "../json-body.ts";
import type { Keys } from "../keys.ts";
import { keyName, keyWish } from "../request/key-bodies.ts";

/** Everything under `/cluster/v1/keys`: who may use the cluster's models, and how much. */
export function keyRoutes(keys: Keys, bodies: BodyReader): Hono<GatewayEnv> {
  const app = new Hono<GatewayEnv>();
  app.get("/", (c) => c.json({ keys: keys.list() }));
  app.post("/create", async (c) => {
    const { key, view } = await keys.create(keyWish(await bodies.read(c.req.raw, { optional: true })));
    // Shown this once: no cache may keep it.
    return c.json({ key, ...view }, 200, { "cache-control": "no-store" });
  });
  app.post("/revoke", async (c) => c.json(await keys.revoke(keyName(await bodies.read(c.req.raw)))));
  return app;
}
