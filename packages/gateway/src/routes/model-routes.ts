import { ambiguous, ClusterdError, sameModel, type AliasView, type ModelId, type ModelView } from "@clusterd/wire";
import type { Backend, Route } from "../backend.ts";
import type { Caller } from "../gateway-env.ts";
import { mayUse, meansModel } from "../key-limits.ts";

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
  const several = ambiguous(model, [...backend.state().models, ...loaded.map((id) => ({ id, aliases: [] }))]);
  if (several.length > 0)
    return new ClusterdError(
      "model_not_found",
      `${JSON.stringify(model.slice(0, NAME_SHOWN_MAX))} may be any of several models.`,
      {
        param: "model",
        next: `Say which: ${listed(several)}.`,
      },
    );
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

interface ModelJson {
  readonly id: string;
  readonly object: "model";
  readonly created: number;
  readonly owned_by: "clusterd";
  readonly clusterd: Readonly<Record<string, unknown>> & { readonly alias_of?: string };
}

function modelJson({ model, createdSeconds, phase, context, slots, head }: Route): ModelJson {
  const clusterd = { state: phase, context, slots, head: head.name };
  return { id: model, object: "model", created: createdSeconds, owned_by: "clusterd", clusterd };
}

/** Models that are known, not deployed, and would be loaded for a request. */
function unloadedModels(backend: Backend): readonly ModelView[] {
  const deployed = new Set(modelsOf(backend).map(({ model }) => model.toLowerCase()));
  return backend.state().models.filter(({ id }) => !deployed.has(id.toLowerCase()) && backend.known(id) !== null);
}

function unloadedJson({ id, contextMax, fileBytes }: ModelView): ModelJson {
  return { id, object: "model", created: 0, owned_by: "clusterd", clusterd: { state: "unloaded", contextMax, fileBytes } };
}

/** An alias as the model that it leads to, by its own name: clients look for the name that they are set to, and offer what is listed. */
function aliasJson(backend: Backend, { alias, model, canary }: AliasView): ModelJson | null {
  const listed = backend.route(model) === null && backend.known(model) === null ? null : modelOrUnloaded(backend, model);
  return listed === null ? null : { ...listed, id: alias, clusterd: { ...listed.clusterd, alias_of: model, canary } };
}

/** `GET /v1/models`: what is deployed, what would be loaded for a request, and the aliases that lead to either; as far as a key is for them. */
export function listModels(backend: Backend, caller: Pick<Caller, "models">): unknown {
  const aliases = backend.aliases.list().flatMap((alias) => aliasJson(backend, alias) ?? []);
  const all: readonly ModelJson[] = [
    ...modelsOf(backend).map(modelJson),
    ...unloadedModels(backend).map(unloadedJson),
    ...aliases,
  ];
  const isFor = ({ id, clusterd }: ModelJson): boolean =>
    mayUse(caller, id, clusterd.alias_of ?? id) || (clusterd.alias_of === undefined && meansModel(caller, backend, id));
  return { object: "list", data: all.filter(isFor) };
}

/** `GET /v1/models/ID` */
export function oneModel(backend: Backend, name: string): unknown {
  const alias = backend.aliases.list().find((each) => sameModel(each.alias, name));
  const meansAlias = alias !== undefined && backend.aliases.meant(name, null) !== name;
  return (meansAlias ? aliasJson(backend, alias) : null) ?? modelOrUnloaded(backend, name);
}

function modelOrUnloaded(backend: Backend, name: string): ModelJson {
  const route = backend.route(name);
  if (route !== null) return modelJson(route);
  const known = backend.known(name);
  const unloaded = unloadedModels(backend).find(({ id }) => known !== null && sameModel(id, known));
  if (unloaded === undefined) throw unknownModel(backend, name);
  return unloadedJson(unloaded);
}
