import { ClusterdError } from "@clusterd/wire";
import { Hono, type Context } from "hono";
import { setAnswerHeaders } from "./answer-headers.ts";
import type { Backend } from "./backend.ts";
import { entrance } from "./entrance.ts";
import type { GatewayEnv } from "./gateway-env.ts";
import { CLIENT_GONE_STATUS, HttpRefusal, asRefusal, errorResponse } from "./http-refusal.ts";
import { createBodyReader, type JsonObject } from "./json-body.ts";
import { ENGINE_SILENCE_MS_MAX, GENERATIONS_MAX } from "./limits.ts";
import { generate, goingAway } from "./relay/generation.ts";
import { chatRequest } from "./request/chat-request.ts";
import { completionRequest } from "./request/completion-request.ts";
import { modelOf, type GenerationRequest } from "./request/generation-request.ts";
import { asset } from "./routes/assets.ts";
import { clusterRoutes } from "./routes/cluster-routes.ts";
import { checkReady, listModels, oneModel, routeOf } from "./routes/model-routes.ts";
import { noRoute, routeLabel } from "./routes/route-table.ts";
import { createStateEvents } from "./routes/state-events.ts";
import { createLiveRequests } from "./watch/live-requests.ts";
import { createMetrics } from "./watch/metrics.ts";
import { logLine, outcomeOfStatus, startRecord, type Outcome } from "./watch/request-record.ts";

export interface GatewayOptions {
  readonly backend: Backend;
  /** Needed on every route but `/health`, where set. */
  readonly apiKey: string | null;
  /** The built dashboard. */
  readonly assetsDir: string | null;
  /** Names and addresses that requests may be addressed to, besides loopback. A wildcard address: any address. */
  readonly allowedHosts: readonly string[];
  /** Origins whose pages may use this node. */
  readonly allowedOrigins: readonly string[];
  /** Gets one line per request, without any of its content. */
  readonly log?: (line: string) => void;
  /** Silence between two tokens of a stream that is taken for a stall of the engine. */
  readonly engineSilenceMsMax?: number;
}

export interface Gateway {
  fetch(request: Request, env?: GatewayEnv["Bindings"]): Response | Promise<Response>;
  /** Ends what is running: streams are told so. */
  close(): void;
}

/** The whole HTTP surface of a node, as a function from request to response. */
export function createGateway(options: GatewayOptions): Gateway {
  const { backend } = options;
  const bodies = createBodyReader();
  const live = createLiveRequests(GENERATIONS_MAX);
  const events = createStateEvents(backend);
  const metrics = createMetrics();
  const app = new Hono<GatewayEnv>();

  const finish = (c: Context<GatewayEnv>, status: number, outcome: Outcome): void => {
    const record = c.get("record");
    metrics.request(record.route, outcome);
    if (record.counts !== null) metrics.tokens(record.counts);
    options.log?.(logLine(record, status, outcome));
  };

  // The numbers of a refusal are for clusterd's own tools; OpenAI's clients get the shape they know.
  app.onError((error, c) => errorResponse(asRefusal(error), { details: c.req.path.startsWith("/cluster/") }));
  app.notFound((c) => errorResponse(noRoute(c.req.method, c.req.path)));
  app.use(async (c, next) => {
    const record = startRecord(c.req.raw, routeLabel(c.req.method, c.req.path));
    c.set("record", record);
    c.set("cut", () => {
      c.env.outgoing?.destroy();
      return c.env.outgoing !== undefined;
    });
    await next();
    setAnswerHeaders(c.res.headers, {
      request: c.req.raw,
      record,
      node: backend.node.name,
      allowedOrigins: options.allowedOrigins,
    });
    if (record.streaming) return;
    const gone = c.error instanceof HttpRefusal && c.error.status === CLIENT_GONE_STATUS;
    finish(c, gone ? CLIENT_GONE_STATUS : c.res.status, gone ? "client_gone" : outcomeOfStatus(c.res.status));
  });
  app.use(entrance(options));

  const generation =
    (parse: (body: JsonObject) => GenerationRequest) =>
    async (c: Context<GatewayEnv>): Promise<Response> => {
      const record = c.get("record");
      const body = await bodies.read(c.req.raw);
      const route = routeOf(backend, modelOf(body));
      record.model = route.model;
      const request = parse(body);
      checkReady(backend, route);
      const response = await generate(route, request, {
        backend,
        live,
        client: c.req.raw.signal,
        cut: c.get("cut"),
        silenceMsMax: options.engineSilenceMsMax ?? ENGINE_SILENCE_MS_MAX,
        onCounts: (counts) => {
          record.counts = counts;
        },
        onStreamEnd: (outcome, counts) => {
          record.counts = counts;
          finish(c, 200, outcome);
        },
      });
      record.streaming = request.stream;
      return response;
    };

  app.get("/health", (c) => c.json({ status: "ok", node: backend.node.name }));
  app.get("/metrics", (c) => {
    const text = metrics.text({ generations: live.count, subscribers: events.subscribers, state: backend.state() });
    return c.body(text, 200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
  });
  app.get("/v1/models", (c) => c.json(listModels(backend)));
  app.get("/v1/models/:id{.+}", (c) => c.json(oneModel(backend, c.req.param("id"))));
  app.post("/v1/chat/completions", generation(chatRequest));
  app.post("/v1/completions", generation(completionRequest));
  app.post("/v1/embeddings", async (c) => {
    const route = routeOf(backend, modelOf(await bodies.read(c.req.raw)));
    c.get("record").model = route.model;
    throw new ClusterdError("unsupported", `${route.model} generates text; it makes no embeddings.`, { param: "model" });
  });
  app.route("/cluster/v1", clusterRoutes(backend, bodies, events));
  app.get("*", async (c) => (await asset(options.assetsDir, c.req.path)) ?? c.notFound());

  return {
    fetch: (request, env) => app.fetch(request, env ?? {}),
    close() {
      live.closeAll(goingAway());
      events.close();
    },
  };
}
