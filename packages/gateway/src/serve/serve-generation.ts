import type { Context, Handler } from "hono";
import { openCaching } from "../cache/caching.ts";
import type { GatewayEnv } from "../gateway-env.ts";
import type { JsonObject } from "../json-body.ts";
import { checkModel, mayUse } from "../key-limits.ts";
import { preferredWaitSeconds } from "../loading/prefer-wait.ts";
import type { GenerationOptions } from "../relay/generation.ts";
import { modelOf, type GenerationRequest } from "../request/generation-request.ts";
import { modelNamed } from "../routes/model-routes.ts";
import { generateOrFallBack } from "../upstream/fall-back.ts";
import { mayLeave } from "../upstream/upstream-policy.ts";
import { upstreamFor } from "../upstream/upstream.ts";
import { checkAbility } from "./check-ability.ts";
import { conversationOf } from "./conversation.ts";
import { readyRoute } from "./ready-route.ts";
import { queueMoved, tokenCame } from "../watch/request-record.ts";
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
  const { backend, live, silenceMsMax, patience, upstreams, cache } = service;
  const record = c.get("record");
  const asked = modelOf(body);
  const conversation = conversationOf(body);
  // Settled once: an alias that is changed meanwhile changes nothing for this request.
  const name = backend.aliases.meant(asked, conversation);
  if (!mayUse(c.get("caller"), asked)) checkModel(c.get("caller"), name, backend);
  const choice = mayLeave(c.req.raw.headers, c.get("caller")) ? upstreamFor(upstreams, [asked, name]) : null;
  record.model = choice === null ? modelNamed(backend, name) : (backend.route(name)?.model ?? backend.known(name));
  const parsed = parse(body);
  const known = backend.route(name);
  if (known !== null) checkAbility(known, parsed);
  const caller = c.get("caller").id;
  const control = c.req.header("cache-control");
  const caching = openCaching(cache, { request: parsed, record, caller, control, deployed: known });
  if (caching.answer !== null) return caching.answer;
  const { request } = caching;
  const options: GenerationOptions = {
    backend,
    live,
    caller,
    client: c.req.raw.signal,
    cut: c.get("cut"),
    silenceMsMax,
    patience,
    async ready(options) {
      const { keepAliveSeconds } = request;
      const waitSeconds = preferredWaitSeconds(c.req.header("prefer")) ?? request.waitSeconds ?? null;
      const wishes = { ...options, loading: service.loading, waitSeconds, keepAliveSeconds, conversation };
      const route = await readyRoute(backend, name, wishes);
      checkAbility(route, request);
      caching.answeredBy(route);
      return route;
    },
    onQueue: (position) => queueMoved(record, position),
    onToken: () => tokenCame(record),
    onCounts(counts) {
      record.counts = counts;
    },
    onStreamEnd(outcome, counts) {
      record.counts = counts;
      service.finish(record, 200, outcome);
    },
  };
  const response = await generateOrFallBack(request, options, {
    choice,
    onUpstream({ upstream, model, theirModel }) {
      caching.drop();
      record.model = model;
      record.cache = null;
      record.upstream = { name: upstream.name, model: theirModel, leftOut: [] };
    },
    onLeftOut(fields) {
      if (record.upstream !== null) record.upstream.leftOut = fields;
    },
  });
  record.streaming = request.stream;
  return request.stream ? response : caching.whole(response);
}
