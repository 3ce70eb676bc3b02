import type { Context } from "hono";
import { ClusterdError, sameModel } from "@clusterd/wire";
import type { Backend, Route } from "../backend.ts";
import type { GatewayEnv } from "../gateway-env.ts";
import { asRefusal } from "../http-refusal.ts";
import { OUTBOX_BYTES_MAX, READY_MS_MAX } from "../limits.ts";
import type { StreamWriter } from "../relay/answer-form.ts";
import { openOutbox } from "../relay/outbox.ts";
import { createPatience } from "../relay/patience.ts";
import { askedModel } from "./asked-model.ts";
import { readyRoute } from "./ready-route.ts";
import type { Service } from "./service.ts";

export interface LoadWish {
  readonly model: string;
  readonly stream: boolean;
  readonly contentType: string;
  readonly keepAliveSeconds: number | null | undefined;
  readonly writer: Pick<StreamWriter, "waiting" | "failed">;
  /** What is said once it is loaded, or on its way out. */
  readonly done: (reason: "load" | "unload") => Uint8Array;
}

/** Answers a request that asks for nothing but that a model be loaded, or go. Streams are told how far it is. */
export async function loadModel(service: Service, c: Context<GatewayEnv>, wish: LoadWish): Promise<Response> {
  const { backend, live } = service;
  const name = askedModel(service, c, wish.model, null);
  if (wish.keepAliveSeconds === 0) {
    letGo(backend, backend.route(name));
    return answer(wish, wish.done("unload"));
  }
  const loading = live.begin(c.req.raw.signal);
  const outbox = openOutbox({ bytesMax: OUTBOX_BYTES_MAX, cut: c.get("cut") });
  outbox.gone.addEventListener("abort", () => loading.abort());
  using patience = createPatience(service.patience, (text) => {
    const bytes = wish.writer.waiting(text);
    if (bytes !== null) outbox.send(bytes);
  });
  const ready = readyRoute(backend, name, {
    signal: loading.signal,
    stream: wish.stream,
    onWaiting: patience.onWaiting,
    loading: service.loading,
    // Whoever asks for nothing else has come to wait.
    waitSeconds: READY_MS_MAX / 1000,
    keepAliveSeconds: wish.keepAliveSeconds,
  }).finally(() => loading.end());
  const begun = await (wish.stream ? Promise.race([ready, patience.over]) : ready);
  if (begun !== null) return answer(wish, wish.done("load"));
  const kept = patience.keep();
  void ready
    .then(
      () => outbox.send(wish.done("load")),
      (error: unknown) => outbox.send(wish.writer.failed(asRefusal(error))),
    )
    .finally(() => {
      kept[Symbol.dispose]();
      outbox.end();
    });
  return answer(wish, outbox.stream);
}

function answer({ stream, contentType }: LoadWish, body: Uint8Array | ReadableStream<Uint8Array>): Response {
  const type = stream ? contentType : "application/json";
  return new Response(body as BodyInit, { headers: { "content-type": type, "cache-control": "no-cache" } });
}

/** Lets go of what a request has loaded. What a person has loaded is not a request's to unload. */
function letGo(backend: Backend, route: Route | null): void {
  if (route === null) return;
  const view = backend.state().deployments.find(({ model, head }) => sameModel(model, route.model) && head === route.head.id);
  if (view?.onDemand === undefined || view.onDemand === null) {
    throw new ClusterdError("unsupported", `${route.model} was loaded by a person, and stays until a person unloads it.`, {
      param: "keep_alive",
      next: `\`clusterd unload ${route.model}\` does that.`,
    });
  }
  backend.keepAlive(route.deployment, 0);
}
