import { Hono } from "hono";
import type { Backend } from "../backend.ts";
import type { GatewayEnv } from "../gateway-env.ts";
import type { BodyReader } from "../json-body.ts";
import { oneName } from "../request/control-bodies.ts";
import { removeBody, verifyBody } from "../request/keeping-bodies.ts";
import { eventLines } from "./event-lines.ts";

/** `POST /rm`, `POST /verify` and `GET /tensors`, under `/cluster/v1`: what of models goes from this node's disk, and what is known of the rest. */
export function keepingRoutes(backend: Backend, bodies: BodyReader): Hono<GatewayEnv> {
  const app = new Hono<GatewayEnv>();
  app.post("/rm", async (c) => {
    const { model, unused } = removeBody(await bodies.read(c.req.raw));
    return c.json(await backend.models.remove(model, { unused }));
  });
  app.get("/tensors", async (c) => c.json(await backend.models.tensors(oneName({ model: c.req.query("model") }, "model"))));
  app.post("/verify", async (c) => {
    const { model, repair } = verifyBody(await bodies.read(c.req.raw, { optional: true }));
    const events = backend.models.verify(model, { repair });
    // A model that is not here has a status.
    return eventLines(await events.next(), events);
  });
  return app;
}
