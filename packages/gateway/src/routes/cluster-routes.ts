import { Hono } from "hono";
import type { Backend } from "../backend.ts";
import type { GatewayEnv } from "../gateway-env.ts";
import type { BodyReader } from "../json-body.ts";
import { drainBody, loadBody, noFields, oneName } from "../request/control-bodies.ts";
import { aliasRoutes } from "./alias-routes.ts";
import { keepingRoutes } from "./keeping-routes.ts";
import { keyRoutes } from "./key-routes.ts";
import { logRoutes } from "./log-routes.ts";
import { pullRoutes } from "./pull-routes.ts";
import type { StateEvents } from "./state-events.ts";

/** Everything under `/cluster/v1`: what the cluster is, and what may be done with it. */
export function clusterRoutes(backend: Backend, bodies: BodyReader, events: StateEvents): Hono<GatewayEnv> {
  const app = new Hono<GatewayEnv>();
  app.get("/state", async (c) => {
    // `?models=anew`: who asks for the models wants them as they are now.
    if (c.req.query("models") === "anew") await backend.pulls.look();
    return c.json(backend.state());
  });
  app.get("/events", (c) => events.open(c.get("cut")));
  app.route("/logs", logRoutes(backend));
  app.route("/aliases", aliasRoutes(backend.aliases, bodies));
  app.route("/keys", keyRoutes(backend.keys, bodies));
  app.post("/plan", async (c) => c.json(await backend.plan(loadBody(await bodies.read(c.req.raw)))));
  app.post("/load", async (c) => c.json(await backend.load(loadBody(await bodies.read(c.req.raw)))));
  app.post("/unload", async (c) => c.json(await backend.unload(oneName(await bodies.read(c.req.raw), "model"))));
  app.route("/", pullRoutes(backend, bodies));
  app.route("/", keepingRoutes(backend, bodies));
  app.post("/approve", async (c) => c.json(await backend.approve(oneName(await bodies.read(c.req.raw), "code"))));
  app.post("/remove", async (c) => c.json(await backend.remove(oneName(await bodies.read(c.req.raw), "node"))));
  app.post("/drain", async (c) => {
    const { node, on } = drainBody(await bodies.read(c.req.raw));
    return c.json(await backend.drain(node, on));
  });
  app.post("/rotate", async (c) => {
    noFields(await bodies.read(c.req.raw, { optional: true }));
    await backend.rotate();
    return c.json({ rotated: true });
  });
  app.post("/leave", async (c) => {
    noFields(await bodies.read(c.req.raw, { optional: true }));
    await backend.leave();
    return c.json({ left: true });
  });
  return app;
}
