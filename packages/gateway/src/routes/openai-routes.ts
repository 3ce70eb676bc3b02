import { Hono } from "hono";
import type { GatewayEnv } from "../gateway-env.ts";
import { chatRequest } from "../request/chat-request.ts";
import { completionRequest } from "../request/completion-request.ts";
import { embeddingRequest } from "../request/embedding-request.ts";
import { responsesRequest } from "../request/responses-request.ts";
import { generationRoute } from "../serve/serve-generation.ts";
import type { Service } from "../serve/service.ts";
import { listModels, oneModel } from "./model-routes.ts";

/** OpenAI's API, under `/v1`. */
export function openAiRoutes(service: Service): Hono<GatewayEnv> {
  const { backend } = service;
  const app = new Hono<GatewayEnv>();
  app.get("/models", (c) => c.json(listModels(backend, c.get("caller"))));
  app.get("/models/:id{.+}", (c) => c.json(oneModel(backend, c.req.param("id"))));
  app.post("/chat/completions", generationRoute(service, chatRequest));
  app.post("/completions", generationRoute(service, completionRequest));
  app.post("/responses", generationRoute(service, responsesRequest));
  app.post("/embeddings", generationRoute(service, embeddingRequest));
  return app;
}
