import { ClusterdError, sameModel, type ModelId, type ModelView } from "@clusterd/wire";
import type { Backend, Route } from "../backend.ts";

const NAMED_MAX = 20;
const NAME_SHOWN_MAX = 200;

/** The id of the model that a request's name means, deployed or to be loaded for it. */
export function modelNamed(backend: Backend, name: string): ModelId {
  const found = backend.route(name)?.model ?? backend.known(name);
  if (found === null) throw unknownModel(backend, name);
  return found;
}

/** The refusal of a name that means nothing here; it names the models there are. */
export function unknownModel(backend: Backend, model: string): ClusterdError {
  const loaded = modelsOf(backend).map((route) => route.model);
  const unloaded = unloadedModels(backend).map(({ id }) => id);
  const next = [
    loaded.length === 0 ? "No model is loaded." : `Loaded: ${listed(loaded)}.`,
    unloaded.length === 0 ? null : `Loaded when asked for: ${listed(unloaded)}.`,
    loaded.length + unloaded.length === 0 ? "`clusterd load` loads one." : null,
  ];
  return new ClusterdError("model_not_found", `There is no model ${JSON.stringify(model.slice(0, NAME_SHOWN_MAX))} here.`, {
    param: "model",
    next: next.filter((sentence) => sentence !== null).join(" "),
  });
}

function listed(names: readonly string[]): string {
  const more = names.length - NAMED_MAX;
  return more > 0 ? `${names.slice(0, NAMED_MAX).join(", ")} and ${more} more` : names.join(", ");
}

/** The deployments that requests may name, one per model, those that are ready first. Failed ones are not offered. */
function modelsOf(backend: Backend): readonly Route[] {
  const models = new Map<string, Route>();
  for (const route of backend.routes()) {
    const key = route.model.toLowerCase();
    if (route.phase !== "failed" && models.get(key)?.phase !== "ready") models.set(key, route);
  }
  return [...models.values()];
}

function modelJson({ model, createdSeconds, phase, context, slots, head }: Route): unknown {
  const clusterd = { state: phase, context, slots, head: head.name };
  return { id: model, object: "model", created: createdSeconds, owned_by: "clusterd", clusterd };
}

/** Models that are known, not deployed, and would be loaded for a request. */
function unloadedModels(backend: Backend): readonly ModelView[] {
  const deployed = new Set(modelsOf(backend).map(({ model }) => model.toLowerCase()));
  return backend.state().models.filter(({ id }) => !deployed.has(id.toLowerCase()) && backend.known(id) !== null);
}

function unloadedJson({ id, contextMax, fileBytes }: ModelView): unknown {
  return { id, object: "model", created: 0, owned_by: "clusterd", clusterd: { state: "unloaded", contextMax, fileBytes } };
}

/** `GET /v1/models`: what is deployed, and what would be loaded for a request. */
export function listModels(backend: Backend): unknown {
  return { object: "list", data: [...modelsOf(backend).map(modelJson), ...unloadedModels(backend).map(unloadedJson)] };
}

/** `GET /v1/models/ID` */
export function oneModel(backend: Backend, model: string): unknown {
  const route = backend.route(model);
  if (route !== null) return modelJson(route);
  const known = backend.known(model);
  const unloaded = unloadedModels(backend).find(({ id }) => known !== null && sameModel(id, known));
  if (unloaded === undefined) throw unknownModel(backend, model);
  return unloadedJson(unloaded);
}
