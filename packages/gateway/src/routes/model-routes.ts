import { ClusterdError, sameModel, type DeploymentView } from "@clusterd/wire";
import type { Backend, Route } from "../backend.ts";
import { HttpRefusal } from "../http-refusal.ts";

const NAMED_MAX = 20;
const NAME_SHOWN_MAX = 200;

/** The deployment a request's model names; the refusal names those there are. */
export function routeOf(backend: Backend, model: string): Route {
  const route = backend.route(model);
  if (route !== null) return route;
  const known = modelsOf(backend).map((route) => route.model);
  const listed =
    known.length > NAMED_MAX ? `${known.slice(0, NAMED_MAX).join(", ")} and ${known.length - NAMED_MAX} more` : known.join(", ");
  throw new ClusterdError("model_not_found", `There is no model ${JSON.stringify(model.slice(0, NAME_SHOWN_MAX))} here.`, {
    param: "model",
    next: known.length === 0 ? "No model is loaded: `clusterd load` loads one." : `Loaded: ${listed}.`,
  });
}

/** Refuses a deployment that cannot answer yet, or not any more, with how far it is. */
export function checkReady(backend: Backend, route: Route): void {
  if (route.phase === "ready") return;
  const why = route.reason === null ? "" : `: ${route.reason}`;
  if (route.phase === "failed") {
    throw new HttpRefusal(503, "model_not_ready", `${route.model} could not be run${why}`, {
      param: "model",
      // Waiting does not help; OpenAI's clients try again on 503 unless told not to.
      headers: { "x-should-retry": "false" },
    });
  }
  const progress = progressOf(backend, route);
  const percent = progress === null ? "" : `, ${Math.floor(progress * 100)} % done`;
  throw new ClusterdError("model_not_ready", `${route.model} is ${route.phase}${percent}${why}.`.replace(/\.\.$/, "."), {
    param: "model",
    next: "Try again shortly.",
  });
}

/** How much of a deployment's weights is in place, from 0 to 1. */
function progressOf(backend: Backend, route: Route): number | null {
  const view = backend
    .state()
    .deployments.find(
      ({ model, head, state }) => sameModel(model, route.model) && head === route.head.id && state === route.phase,
    );
  return view === undefined ? null : weightedProgress(view);
}

function weightedProgress({ stages }: DeploymentView): number | null {
  const bytes = stages.reduce((sum, stage) => sum + stage.weightBytes, 0);
  if (bytes === 0) return null;
  return Math.min(1, stages.reduce((sum, stage) => sum + stage.weightBytes * stage.progress, 0) / bytes);
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

/** `GET /v1/models` */
export function listModels(backend: Backend): unknown {
  return { object: "list", data: modelsOf(backend).map(modelJson) };
}

/** `GET /v1/models/ID` */
export function oneModel(backend: Backend, model: string): unknown {
  return modelJson(routeOf(backend, model));
}
