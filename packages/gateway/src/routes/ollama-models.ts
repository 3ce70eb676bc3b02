import { createHash } from "node:crypto";
import { placeOf, sameModel, type DeploymentView, type ModelView, type NodeView } from "@clusterd/wire";
import type { Backend } from "../backend.ts";
import type { Caller } from "../gateway-env.ts";
import type { JsonObject } from "../json-body.ts";
import { mayUse, meansModel } from "../key-limits.ts";
import { listModels } from "./model-routes.ts";

/** Of what stays until its room is needed: Ollama's clients expect a time. */
const NEVER = "9999-12-31T23:59:59Z";
/** Phases of what does not answer any more. */
const GONE: ReadonlySet<DeploymentView["state"]> = new Set<DeploymentView["state"]>(["failed", "draining"]);
const UNKNOWN_TIME = new Date(0).toISOString();

/** What is known of a model in the words of `details`; empty where nothing is. */
export function modelDetails(view: ModelView | undefined, parameterSize = ""): JsonObject {
  const family = view?.architecture ?? "";
  return {
    parent_model: "",
    format: "gguf",
    family,
    families: family === "" ? [] : [family],
    parameter_size: parameterSize,
    quantization_level: view?.quantisation ?? "",
  };
}

/** Ollama's clients cut pieces out of digests. This one tells models apart, and is of the id alone. */
export function digestOf(id: string): string {
  return createHash("sha256").update(id.toLowerCase()).digest("hex");
}

export function viewOf(backend: Backend, id: string): ModelView | undefined {
  return backend.state().models.find((model) => sameModel(model.id, id));
}

/** `GET /api/tags`: what requests may name. */
export function ollamaTags(backend: Backend, caller: Caller): JsonObject {
  const { data } = listModels(backend, caller) as { readonly data: readonly { readonly id: string; readonly created: number }[] };
  const models = data.map(({ id, created }) => {
    const view = viewOf(backend, id);
    return {
      name: id,
      model: id,
      modified_at: created === 0 ? UNKNOWN_TIME : new Date(created * 1000).toISOString(),
      size: view?.fileBytes ?? 0,
      digest: digestOf(id),
      details: modelDetails(view),
    };
  });
  return { models };
}

/** `GET /api/ps`: what is deployed, or on its way, as far as a key is for it. */
export function ollamaRunning(backend: Backend, caller: Pick<Caller, "models">): JsonObject {
  const { deployments, nodes } = backend.state();
  const isFor = ({ model, aliases }: DeploymentView): boolean =>
    mayUse(caller, model, ...aliases) || meansModel(caller, backend, model);
  const running = deployments.filter((deployment) => !GONE.has(deployment.state) && isFor(deployment));
  return { models: running.map((deployment) => runningModel(backend, deployment, nodes)) };
}

function runningModel(backend: Backend, deployment: DeploymentView, nodes: readonly NodeView[]): JsonObject {
  const { model, stages, onDemand, context } = deployment;
  const onAccelerators = stages.filter(({ node }) => hasAccelerator(nodes, node));
  return {
    name: model,
    model,
    size: bytesOf(stages),
    digest: digestOf(model),
    details: modelDetails(viewOf(backend, model)),
    expires_at: onDemand?.until === undefined || onDemand.until === null ? NEVER : new Date(onDemand.until).toISOString(),
    size_vram: bytesOf(onAccelerators),
    context_length: context,
  };
}

function bytesOf(stages: DeploymentView["stages"]): number {
  return stages.reduce((sum, { weightBytes, kvBytes, bufferBytes }) => sum + weightBytes + kvBytes + bufferBytes, 0);
}

function hasAccelerator(nodes: readonly NodeView[], place: DeploymentView["stages"][number]["node"]): boolean {
  const { node } = placeOf(place);
  return (nodes.find(({ id }) => id === node)?.device.accelerators.length ?? 0) > 0;
}
