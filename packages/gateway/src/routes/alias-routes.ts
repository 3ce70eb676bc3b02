import { Hono } from "hono";
import type { Aliases } from "../aliases.ts";
import type { GatewayEnv } from "../gateway-env.ts";
import type { BodyReader } from "../json-body.ts";
import { aliasBody } from "../request/alias-body.ts";

/** `/cluster/v1/aliases`: the further names of models, and where they lead. */
export function aliasRoutes(aliases: Aliases, bodies: BodyReader): Hono<GatewayEnv> {
  const app = new Hono<GatewayEnv>();
  app.get("/", (c) => c.json({ aliases: aliases.list() }));
  app.post("/", async (c) => {
    const change = aliasBody(await bodies.read(c.req.raw));
    return c.json((await aliases.change(change)) ?? { alias: change.alias, removed: true });
  });
  return app;
}
