import { ClusterdError, type PullEvent } from "@clusterd/wire";
import { Hono } from "hono";
import type { Backend } from "../backend.ts";
import type { GatewayEnv } from "../gateway-env.ts";
import type { BodyReader } from "../json-body.ts";
import { pullBody } from "../request/pull-body.ts";
import { oneName } from "../request/control-bodies.ts";

/** `POST /pull` and `POST /rm`, under `/cluster/v1`: models fetched from a hub, and deleted again. */
export function pullRoutes(backend: Backend, bodies: BodyReader): Hono<GatewayEnv> {
  const app = new Hono<GatewayEnv>();
  app.post("/pull", async (c) => {
    const { model, cancel, all } = pullBody(await bodies.read(c.req.raw));
    if (cancel) return c.json({ cancelled: backend.pulls.cancel(model) });
    const events = backend.pulls.follow(model, { all });
    // The first event decides: what fails before there is any progress has a status.
    const first = await events.next();
    if (first.done !== true && first.value.event === "failed") {
      const { code, message, next } = first.value.error;
      throw new ClusterdError(code, message, next === null ? {} : { next });
    }
    return new Response(linesOf(first, events), {
      headers: { "content-type": "application/x-ndjson; charset=utf-8", "cache-control": "no-cache" },
    });
  });
  app.post("/rm", async (c) => c.json(await backend.pulls.remove(oneName(await bodies.read(c.req.raw), "model"))));
  return app;
}

/** One JSON object a line. A reader that goes ends the telling, not the pull. */
function linesOf(first: IteratorResult<PullEvent, void>, events: AsyncGenerator<PullEvent, void>): ReadableStream<Uint8Array> {
  let next: IteratorResult<PullEvent, void> | null = first;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { value, done } = next ?? (await events.next());
        next = null;
        if (done === true) controller.close();
        else controller.enqueue(Buffer.from(`${JSON.stringify(value)}\n`));
      },
      cancel: () => void events.return(),
    },
    { highWaterMark: 0 },
  );
}
