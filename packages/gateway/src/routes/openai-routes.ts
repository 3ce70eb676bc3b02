import { ClusterdError } from "@clusterd/wire";
import { Hono } from "hono";
import type { GatewayEnv } from "../gateway-env.ts";
import { chatRequest } from "../request/chat-request.ts";
import { completionRequest } from "../request/completion-request.ts";
import { modelOf } from "../request/generation-request.ts";
import { generationRoute } from "../serve/serve-generation.ts";
import type { Service } from "../serve/service.ts";
import { listModels, oneModel, routeOf } from "./model-routes.ts";

/** OpenAI's API, under `/v1`. */
export function openAiRoutes(service: Service): Hono<GatewayEnv> {
  const { backend, bodies } = service;
  const app = new Hono<GatewayEnv>();
  app.get("/models", (c) => c.json(listModels(backend)));
  app.get("/models/:id{.+}", (c) => c.json(oneModel(backend, c.req.param("id"))));
  app.post("/chat/completions", generationRoute(service, chatRequest));
  app.post("/completions", generationRoute(service, completionRequest));
  app.post("/embeddings", async (c) => {
    const route = routeOf(backend, modelOf(await bodies.read(c.req.raw)));
    c.get("record").model = route.model;
    throw new ClusterdError("unsupported", `${route.model} generates text; it makes no embeddings.`, { param: "model" });
  });
  return app;
}
