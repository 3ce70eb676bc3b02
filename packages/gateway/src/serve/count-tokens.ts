import type { Context } from "hono";
import { ClusterdError } from "@clusterd/wire";
import type { GatewayEnv } from "../gateway-env.ts";
import { isObject, type JsonObject } from "../json-body.ts";
import { ENGINE_ERROR_BYTES_MAX } from "../limits.ts";
import { preferredWaitSeconds } from "../loading/prefer-wait.ts";
import { askEngine, brokenExchange, readText, type Exchange } from "../relay/engine-exchange.ts";
import { modelOf, type GenerationRequest } from "../request/generation-request.ts";
import { askedModel } from "./asked-model.ts";
import { checkAbility } from "./check-ability.ts";
import { conversationOf } from "./conversation.ts";
import { readyRoute } from "./ready-route.ts";
import type { Service } from "./service.ts";

/** Where the engine counts a chat's tokens. It needs no slot for that. */
const COUNT_PATH = "/v1/chat/completions/input_tokens";

/** The tokens that a chat's prompt would have, template and tools included. */
export async function countTokens(
  service: Service,
  c: Context<GatewayEnv>,
  body: JsonObject,
  parse: (body: JsonObject) => GenerationRequest,
): Promise<number> {
  const { backend, live, loading } = service;
  const conversation = conversationOf(body);
  const name = askedModel(service, c, modelOf(body), conversation);
  const request = { ...parse(body), path: COUNT_PATH };
  const counting = live.begin(c.req.raw.signal);
  try {
    const { signal } = counting;
    const waitSeconds = preferredWaitSeconds(c.req.header("prefer"));
    const unheard = (): void => {};
    const wishes = { signal, stream: false, onWaiting: unheard, loading, waitSeconds, conversation };
    const route = await readyRoute(backend, name, wishes);
    checkAbility(route, request);
    return await countedBy({ backend, route, request, caller: c.get("caller").id, onWaiting: unheard, onQueue: unheard }, signal);
  } finally {
    counting.end();
  }
}

async function countedBy(exchange: Exchange, signal: AbortSignal): Promise<number> {
  const [job] = exchange.request.jobs;
  const answer = await askEngine(exchange, { ...job?.body, model: exchange.route.model }, { signal });
  const text = await readText(answer, ENGINE_ERROR_BYTES_MAX).catch(async (error: unknown) => {
    throw await brokenExchange(exchange, error, signal);
  });
  const json: unknown = JSON.parse(text);
  if (isObject(json) && typeof json["input_tokens"] === "number") return json["input_tokens"];
  throw new ClusterdError("engine_crashed", `The engine of ${exchange.route.model} counted nothing.`);
}
