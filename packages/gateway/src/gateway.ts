import { Hono, type Context } from "hono";
import { setAnswerHeaders } from "./answer-headers.ts";
import type { Backend } from "./backend.ts";
import { entrance } from "./entrance.ts";
import { errorText } from "./error-shape.ts";
import type { GatewayEnv } from "./gateway-env.ts";
import { closeUnreadStreams } from "./head-requests.ts";
import { CLIENT_GONE_STATUS, HttpRefusal, asRefusal, errorResponse } from "./http-refusal.ts";
import { createBodyReader } from "./json-body.ts";
import {
  ENGINE_SILENCE_MS_MAX,
  GENERATIONS_MAX,
  SIGN_OF_LIFE_MS,
  WAITING_SILENCE_MS_MAX,
  WORKING_SILENCE_MS_MAX,
} from "./limits.ts";
import { createAnswerCache } from "./cache/answer-cache.ts";
import { goingAway } from "./relay/generation.ts";
import type { PatienceOptions } from "./relay/patience.ts";
import type { Upstream } from "./upstream/upstream.ts";
import { anthropicRoutes } from "./routes/anthropic-routes.ts";
import { asset } from "./routes/assets.ts";
import { clusterRoutes } from "./routes/cluster-routes.ts";
import { ollamaRoutes } from "./routes/ollama-routes.ts";
import { openAiRoutes } from "./routes/openai-routes.ts";
import { noRoute, routeLabel } from "./routes/route-table.ts";
import { createStateEvents } from "./routes/state-events.ts";
import type { Service } from "./serve/service.ts";
import { createLoadingBoard } from "./loading/loading-board.ts";
import { createLiveRequests } from "./watch/live-requests.ts";
import { createMetrics } from "./watch/metrics.ts";
import { logLine, outcomeOfStatus, queueMoved, startRecord, tokensSpent } from "./watch/request-record.ts";

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
  /** How long streams that have not begun stay silent, where others than the usual are wanted. */
  readonly patience?: Partial<PatienceOptions>;
  /** What may be asked where the cluster cannot serve; none where absent. */
  readonly upstreams?: readonly Upstream[];
  /** Bytes of answers at temperature 0 that are kept to be given again; absent or 0: none are. */
  readonly cacheBytesMax?: number;
}

const PATIENCE: PatienceOptions = {
  waitingMs: WAITING_SILENCE_MS_MAX,
  workingMs: WORKING_SILENCE_MS_MAX,
  everyMs: SIGN_OF_LIFE_MS,
};

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

  const service: Service = {
    backend,
    bodies,
    live,
    silenceMsMax: options.engineSilenceMsMax ?? ENGINE_SILENCE_MS_MAX,
    patience: { ...PATIENCE, ...options.patience },
    loading: createLoadingBoard(backend),
    upstreams: options.upstreams ?? [],
    cache: options.cacheBytesMax === undefined || options.cacheBytesMax <= 0 ? null : createAnswerCache(options.cacheBytesMax),
    finish(record, status, outcome) {
      // Whatever ends in the queue has waited until now.
      queueMoved(record, 0);
      metrics.request(record, outcome);
      if (record.caller?.keyId != null) backend.keys.spend(record.caller.keyId, tokensSpent(record));
      options.log?.(logLine(record, status, outcome));
    },
  };
  const refused = (c: Context<GatewayEnv>, refusal: HttpRefusal): Response =>
    errorResponse(refusal, errorText(c.req.raw, c.req.path, refusal, c.get("record")?.id ?? null));

  app.onError((error, c) => refused(c, asRefusal(error)));
  app.notFound((c) => refused(c, noRoute(c.req.method, c.req.path)));
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
    service.finish(record, gone ? CLIENT_GONE_STATUS : c.res.status, gone ? "client_gone" : outcomeOfStatus(c.res.status));
  });
  app.use(closeUnreadStreams);
  app.use(entrance({ ...options, keys: backend.keys }));

  app.get("/health", (c) => c.json({ status: "ok", node: backend.node.name }));
  app.get("/metrics", (c) => {
    const text = metrics.text({
      generations: live.count,
      subscribers: events.subscribers,
      tunnels: backend.tunnelBytes(),
      state: backend.state(),
      cache: service.cache?.counts ?? null,
    });
    return c.body(text, 200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
  });
  app.route("/v1", anthropicRoutes(service));
  app.route("/v1", openAiRoutes(service));
  app.route("/api", ollamaRoutes(service));
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
