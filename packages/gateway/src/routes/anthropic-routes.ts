import { Hono } from "hono";
import { isAnthropic } from "../error-shape.ts";
import type { GatewayEnv } from "../gateway-env.ts";
import { messagesRequest } from "../request/anthropic/messages-request.ts";
import { countTokens } from "../serve/count-tokens.ts";
import { serveGeneration } from "../serve/serve-generation.ts";
import type { Service } from "../serve/service.ts";
import { anthropicModel, anthropicModels } from "./anthropic-models.ts";

/** Anthropic's API, under `/v1`. Its list of models has the path of OpenAI's: it is for those that say whose they are. */
export function anthropicRoutes(service: Service): Hono<GatewayEnv> {
  const { backend, bodies } = service;
  const app = new Hono<GatewayEnv>();
  app.post("/messages", async (c) => {
    const body = await bodies.read(c.req.raw);
    return serveGeneration(service, c, body, (checked) => messagesRequest(checked, c.get("record").id));
  });
  app.post("/messages/count_tokens", async (c) => {
    const body = await bodies.read(c.req.raw);
    return c.json({ input_tokens: await countTokens(service, c, body, (checked) => messagesRequest(checked, null)) });
  });
  app.get("/models", (c, next) =>
    isAnthropic(c.req.raw.headers, c.req.path) ? c.json(anthropicModels(backend, c.get("caller"))) : next(),
  );
  app.get("/models/:id{.+}", (c, next) =>
    isAnthropic(c.req.raw.headers, c.req.path) ? c.json(anthropicModel(backend, c.req.param("id"))) : next(),
  );
  return app;
}
