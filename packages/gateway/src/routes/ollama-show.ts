import type { Context } from "hono";
import type { Backend, Route } from "../backend.ts";
import type { GatewayEnv } from "../gateway-env.ts";
import { isObject, type JsonObject } from "../json-body.ts";
import { ENGINE_EVENT_BYTES_MAX } from "../limits.ts";
import { readText } from "../relay/engine-exchange.ts";
import { modelDetails, viewOf } from "./ollama-models.ts";

/** A template whose model can be told whether to think. */
const THINKS = /enable_thinking|reasoning_effort|<think>/;

/** `POST /api/show`: what is known of a model; of one that is not up, only what its header says. */
export async function ollamaShow(backend: Backend, c: Context<GatewayEnv>, name: string, id: string): Promise<JsonObject> {
  const view = viewOf(backend, id);
  const route = backend.route(name);
  const up = route?.phase === "ready";
  const props = up ? await askedOf(backend, route, "/props", c) : {};
  const meta = up ? metaOf(await askedOf(backend, route, "/v1/models", c)) : {};
  const template = typeof props["chat_template"] === "string" ? props["chat_template"] : "";
  const parameters = typeof meta["n_params"] === "number" ? meta["n_params"] : null;
  const architecture = view?.architecture ?? "";
  return {
    modelfile: `# Of clusterd: there is no such file.\nFROM ${id}\n`,
    parameters: route === null ? "" : `num_ctx ${route.context}`,
    template,
    license: "",
    system: "",
    messages: [],
    details: modelDetails(view, parameters === null ? "" : parameterText(parameters)),
    model_info: {
      ...(architecture === "" ? {} : { "general.architecture": architecture }),
      ...(parameters === null ? {} : { "general.parameter_count": parameters }),
      ...(view === undefined
        ? {}
        : { [`${architecture}.context_length`]: view.contextMax, [`${architecture}.block_count`]: view.layerCount }),
      ...(typeof meta["n_embd"] === "number" ? { [`${architecture}.embedding_length`]: meta["n_embd"] } : {}),
    },
    capabilities: capabilitiesOf(route, props, template),
    modified_at: new Date((route?.createdSeconds ?? 0) * 1000).toISOString(),
  };
}

function capabilitiesOf(route: Route | null, props: JsonObject, template: string): readonly string[] {
  if (route?.embeddings === true) return ["embedding"];
  const { chat_template_caps: caps, modalities } = props;
  return [
    "completion",
    ...(isObject(caps) && caps["supports_tools"] === true ? ["tools"] : []),
    ...(isObject(modalities) && modalities["vision"] === true ? ["vision"] : []),
    ...(THINKS.test(template) ? ["thinking"] : []),
    ...(route?.infill === undefined || route.infill === null ? [] : ["insert"]),
  ];
}

/** What the engine says of itself; nothing where it does not answer as it should. */
async function askedOf(backend: Backend, route: Route, path: string, c: Context<GatewayEnv>): Promise<JsonObject> {
  const { signal } = c.req.raw;
  const answer = await backend.fetchEngine(route.deployment, {
    method: "GET",
    path,
    body: null,
    signal,
    caller: c.get("caller").id,
  });
  const text = await readText(answer, ENGINE_EVENT_BYTES_MAX);
  const json: unknown = answer.ok ? JSON.parse(text) : null;
  return isObject(json) ? json : {};
}

function metaOf({ data }: JsonObject): JsonObject {
  const [first] = Array.isArray(data) ? (data as readonly unknown[]) : [];
  return isObject(first) && isObject(first["meta"]) ? first["meta"] : {};
}

/** As Ollama writes it: `3.5M`, `7.2B`. */
function parameterText(count: number): string {
  const [unit, of] = count >= 1e9 ? (["B", 1e9] as const) : count >= 1e6 ? (["M", 1e6] as const) : (["K", 1e3] as const);
  return `${(count / of).toFixed(1).replace(/\.0$/, "")}${unit}`;
}
