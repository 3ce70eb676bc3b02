import { ClusterdError } from "@clusterd/wire";
import { Hono } from "hono";
import type { Backend } from "../backend.ts";
import type { GatewayEnv } from "../gateway-env.ts";
import type { BodyReader } from "../json-body.ts";
import { pullBody } from "../request/pull-body.ts";
import { eventLines } from "./event-lines.ts";

/** `POST /pull`, under `/cluster/v1`: models fetched from a hub. A reader that goes ends the telling, not the pull. */
export function pullRoutes(backend: Backend, bodies: BodyReader): Hono<GatewayEnv> {
  const app = new Hono<GatewayEnv>();
  app.post("/pull", async (c) => {
    const { model, cancel, all, projector } = pullBody(await bodies.read(c.req.raw));
    if (cancel) return c.json({ cancelled: backend.pulls.cancel(model) });
    const events = backend.pulls.follow(model, { all, projector });
    // The first event decides: what fails before there is any progress has a status.
    const first = await events.next();
    if (first.done !== true && first.value.event === "failed") {
      const { code, message, next } = first.value.error;
      throw new ClusterdError(code, message, next === null ? {} : { next });
    }
    return eventLines(first, events);
  });
  return app;
}
