import { Hono } from "hono";
import type { Backend } from "../backend.ts";
import type { GatewayEnv } from "../gateway-env.ts";
import type { BodyReader } from "../json-body.ts";
import { removeBody, verifyBody } from "../request/keeping-bodies.ts";
import { eventLines } from "./event-lines.ts";

/** `POST /rm` and `POST /verify`, under `/cluster/v1`: what of models goes from this node's disk, and whether what stays is right. */
export function keepingRoutes(backend: Backend, bodies: BodyReader): Hono<GatewayEnv> {
  const app = new Hono<GatewayEnv>();
  app.post("/rm", async (c) => {
    const { model, unused } = removeBody(await bodies.read(c.req.raw));
    return c.json(await backend.models.remove(model, { unused }));
  });
  app.post("/verify", async (c) => {
    const { model, repair } = verifyBody(await bodies.read(c.req.raw, { optional: true }));
    const events = backend.models.verify(model, { repair });
    // A model that is not here has a status.
    return eventLines(await events.next(), events);
  });
  return app;
}
