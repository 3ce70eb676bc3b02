import { Hono, type Context, type Handler } from "hono";
import { ClusterdError } from "@clusterd/wire";
import { ollamaError } from "../error-shape.ts";
import type { GatewayEnv } from "../gateway-env.ts";
import type { JsonObject } from "../json-body.ts";
import { READY_MS_MAX } from "../limits.ts";
import { NDJSON_TYPE } from "../relay/ollama-form.ts";
import { pieceOf } from "../relay/ollama-pieces.ts";
import { flag } from "../request/field-rules.ts";
import type { GenerationRequest } from "../request/generation-request.ts";
import { ollamaChatRequest } from "../request/ollama/ollama-chat.ts";
import { ollamaEmbedRequest } from "../request/ollama/ollama-embed.ts";
import { ollamaGenerateRequest } from "../request/ollama/ollama-generate.ts";
import { sharedFields } from "../request/ollama/shared-fields.ts";
import { askedModel } from "../serve/asked-model.ts";
import { loadModel } from "../serve/load-model.ts";
import { serveGeneration } from "../serve/serve-generation.ts";
import type { Service } from "../serve/service.ts";
import { ollamaRunning, ollamaTags } from "./ollama-models.ts";
import { namedModel, plainName } from "./ollama-names.ts";
import { ollamaPull } from "./ollama-pull.ts";
import { ollamaShow } from "./ollama-show.ts";

/** The version of Ollama's API whose fields are known here: clients look at it to see what they may send. */
const API_VERSION = "0.12.6";

/** What Ollama does with models of its own that has no counterpart here, and what does instead. */
const NOT_HERE: Readonly<Record<string, string>> = {
  delete: "`clusterd rm` deletes a model.",
  create: "Models are GGUF files: `clusterd load PATH` runs one.",
  copy: "`clusterd alias` gives a model another name.",
  push: "Nothing is published from here.",
  blobs: "Models are GGUF files: `clusterd load PATH` runs one.",
};

/** Ollama's API, under `/api`. */
export function ollamaRoutes(service: Service): Hono<GatewayEnv> {
  const { backend, bodies } = service;
  const app = new Hono<GatewayEnv>();

  const asking =
    (parse: (body: JsonObject) => GenerationRequest): Handler<GatewayEnv> =>
    async (c) =>
      generated(service, c, await bodies.read(c.req.raw), parse);

  app.post("/chat", async (c) => {
    const body = await bodies.read(c.req.raw);
    const messages = body["messages"] ?? [];
    if (Array.isArray(messages) && messages.length === 0) return loaded(service, c, body, "chat");
    return generated(service, c, body, ollamaChatRequest);
  });
  app.post("/generate", async (c) => {
    const body = await bodies.read(c.req.raw);
    const images = body["images"] ?? [];
    const empty =
      [body["prompt"], body["suffix"]].every((text) => (text ?? "") === "") && Array.isArray(images) && images.length === 0;
    return empty ? loaded(service, c, body, "generate") : generated(service, c, body, ollamaGenerateRequest);
  });
  app.post(
    "/embed",
    asking((body) => ollamaEmbedRequest(body, "embed")),
  );
  app.post(
    "/embeddings",
    asking((body) => ollamaEmbedRequest(body, "embeddings")),
  );
  app.get("/tags", (c) => c.json(ollamaTags(backend, c.get("caller"))));
  app.get("/ps", (c) => c.json(ollamaRunning(backend, c.get("caller"))));
  app.get("/version", (c) => c.json({ version: API_VERSION }));
  app.post("/show", async (c) => {
    const name = plainName(backend, namedModel(await bodies.read(c.req.raw)));
    const meant = askedModel(service, c, name, null);
    return c.json(await ollamaShow(backend, c, meant, c.get("record").model ?? meant));
  });
  app.post("/pull", async (c) => {
    const body = await bodies.read(c.req.raw);
    const sent = namedModel(body);
    const name = backend.aliases.meant(plainName(backend, sent), null);
    const known = backend.route(name) !== null || backend.known(name) !== null;
    return ollamaPull(backend, sent, known, flag(body["stream"] ?? true, "stream"));
  });
  for (const [path, instead] of Object.entries(NOT_HERE)) {
    const refuse = (): never => {
      throw new ClusterdError("unsupported", `There is no \`/api/${path}\` here.`, { next: instead });
    };
    app.all(`/${path}`, refuse);
    app.all(`/${path}/*`, refuse);
  }
  return app;
}

function generated(
  service: Service,
  c: Context<GatewayEnv>,
  body: JsonObject,
  parse: (body: JsonObject) => GenerationRequest,
): Promise<Response> {
  const sent = namedModel(body);
  // The name comes back as it was sent, whatever it means. Its clients know no coming back: they wait while a model loads, as they do there.
  const wish = (): GenerationRequest => ({ ...parse({ ...body, model: sent }), waitSeconds: READY_MS_MAX / 1000 });
  return serveGeneration(service, c, { ...body, model: plainName(service.backend, sent) }, wish);
}

/** A request without a prompt asks for its model alone. */
function loaded(service: Service, c: Context<GatewayEnv>, body: JsonObject, kind: "chat" | "generate"): Promise<Response> {
  const sent = namedModel(body);
  const { stream, keepAliveSeconds } = sharedFields(body);
  const encode = (line: JsonObject): Buffer =>
    Buffer.from(`${JSON.stringify({ model: sent, created_at: new Date().toISOString(), ...pieceOf(kind, {}), ...line })}\n`);
  return loadModel(service, c, {
    model: plainName(service.backend, sent),
    stream,
    contentType: NDJSON_TYPE,
    keepAliveSeconds,
    writer: {
      waiting: (text) => encode({ done: false, status: text }),
      failed: (refusal) => Buffer.from(`${ollamaError(refusal)}\n`),
    },
    done: (reason) => encode({ done: true, done_reason: reason }),
  });
}
