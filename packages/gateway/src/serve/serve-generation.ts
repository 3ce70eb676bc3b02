import type { Context, Handler } from "hono";
import type { GatewayEnv } from "../gateway-env.ts";
import type { JsonObject } from "../json-body.ts";
import { checkModel } from "../key-limits.ts";
import { preferredWaitSeconds } from "../loading/prefer-wait.ts";
import { generate } from "../relay/generation.ts";
import { modelOf, type GenerationRequest } from "../request/generation-request.ts";
import { modelNamed } from "../routes/model-routes.ts";
import { checkAbility } from "./check-ability.ts";
import { readyRoute } from "./ready-route.ts";
import { tokenCame } from "../watch/request-record.ts";
import type { Service } from "./service.ts";

/** A route that generates: `parse` makes its API's bodies into requests of the engine, and throws where they are no good. */
export function generationRoute(service: Service, parse: (body: JsonObject) => GenerationRequest): Handler<GatewayEnv> {
  return async (c) => {
    const body = await service.bodies.read(c.req.raw);
    return serveGeneration(service, c, body, parse);
  };
}

/** Answers one request for generated text, from the model's name to the last byte. */
export async function serveGeneration(
  service: Service,
  c: Context<GatewayEnv>,
  body: JsonObject,
  parse: (body: JsonObject) => GenerationRequest,
): Promise<Response> {
  const { backend, live, silenceMsMax, patience } = service;
  const record = c.get("record");
  checkModel(c.get("caller"), modelOf(body), backend);
  const name = modelOf(body);
  record.model = modelNamed(backend, name);
  const request = parse(body);
  const known = backend.route(name);
  if (known !== null) checkAbility(known, request);
  const response = await generate(request, {
    backend,
    live,
    caller: c.get("caller").id,
    client: c.req.raw.signal,
    cut: c.get("cut"),
    silenceMsMax,
    patience,
    async ready(options) {
      const { keepAliveSeconds } = request;
      const waitSeconds = preferredWaitSeconds(c.req.header("prefer"));
      const route = await readyRoute(backend, name, { ...options, loading: service.loading, waitSeconds, keepAliveSeconds });
      checkAbility(route, request);
      return route;
    },
    onToken: () => tokenCame(record),
    onCounts(counts) {
      record.counts = counts;
    },
    onStreamEnd(outcome, counts) {
      record.counts = counts;
      service.finish(record, 200, outcome);
    },
  });
  record.streaming = request.stream;
  return response;
}
